package cli

import (
	"slices"

	"github.com/urfave/cli/v2"

	"berth/runtime/ledger"
)

// commands are all of berth's, in the order of its help.
func commands(s *settings) []*cli.Command {
	return slices.Concat(
		group("Project", projectCommands(s)),
		group("Containers", containerCommands(s)),
		group("Processes and files", processCommands(s)),
		group("Images", imageCommands(s)),
		group("Look", lookingCommands(s)),
		group("Cluster", clusterCommands(s)),
		group("Other", otherCommands(s)),
	)
}

// group puts commands under one title of the help.
func group(title string, commands []*cli.Command) []*cli.Command {
	for _, c := range commands {
		c.Category = title
	}
	return commands
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
		runCommand(s),
		watchCommand(s),
		attachCommand(s),
		cpCommand(s),
		exportCommand(s),
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

// imageCommands make images and bring them to where they are needed.
func imageCommands(s *settings) []*cli.Command {
	return []*cli.Command{
		buildCommand(s),
		pullCommand(s),
		pushCommand(s),
		commitCommand(s),
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
	}
}

// clusterCommands are about hosts and the store.
func clusterCommands(s *settings) []*cli.Command {
	return []*cli.Command{
		planCommand(s),
		rebalanceCommand(s),
		hostsCommand(s),
		objectCommand(s, ledger.Secret),
		objectCommand(s, ledger.Config),
		storeCommand(s),
		agentCommand(s),
	}
}

// otherCommands are about berth itself.
func otherCommands(s *settings) []*cli.Command {
	return []*cli.Command{
		completionCommand(s),
		completeCommand(s),
		helpCommand(s),
		versionCommand(s),
		pluginCommand(s),
	}
}
