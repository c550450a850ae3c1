package cli

import (
	"slices"

	"github.com/urfave/cli/v2"

	"berth/runtime/ledger"
)

// commands are all of berth's, in the order of its help.
func commands(s *settings) []*cli.Command {
	return slices.Concat(
		projectCommands(s),
		processCommands(s),
		containerCommands(s),
		lookingCommands(s),
		clusterCommands(s),
	)
}

// projectCommands bring a project up and take it down.
func projectCommands(s *settings) []*cli.Command {
	return []*cli.Command{
		upCommand(s),
		createCommand(s),
		downCommand(s),
		scaleCommand(s),
	}
}

// processCommands work with the processes and files in containers.
func processCommands(s *settings) []*cli.Command {
	return []*cli.Command{
		execCommand(s),
	}
}

// containerCommands act on containers that are there.
func containerCommands(s *settings) []*cli.Command {
	return []*cli.Command{
		startCommand(s),
		stopCommand(s),
		restartCommand(s),
		killCommand(s),
		pauseCommand(s),
		unpauseCommand(s),
		rmCommand(s),
		waitCommand(s),
	}
}

// lookingCommands change nothing.
func lookingCommands(s *settings) []*cli.Command {
	return []*cli.Command{
		psCommand(s),
		logsCommand(s),
		eventsCommand(s),
		topCommand(s),
		statsCommand(s),
		portCommand(s),
		imagesCommand(s),
		volumesCommand(s),
		lsCommand(s),
		configCommand(s),
		versionCommand(s),
	}
}

// clusterCommands are about hosts and the store.
func clusterCommands(s *settings) []*cli.Command {
	return []*cli.Command{
		planCommand(s),
		hostsCommand(s),
		objectCommand(s, ledger.Secret),
		objectCommand(s, ledger.Config),
		storeCommand(s),
		agentCommand(s),
	}
}
