package engine

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// Error is an engine's refusal or failure, with what was being done and what the user can do about it.
type Error struct {
	Host    string // inventory name
	Op      string // "create container"
	Subject string // name or ID of what it was done to; "" for the engine as a whole
	Cause   error  // the engine's own error; never nil
	Text    string // the cause as one plain sentence; "" when Cause says it well enough
	Hint    string // what to do; may be ""
}

// Error is one sentence: host, operation, subject, cause, hint.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Host != "" && e.Host != "local" {
		b.WriteString("host " + e.Host + ": ")
	}
	b.WriteString(e.Op)
	if e.Subject != "" {
		b.WriteString(" " + e.Subject)
	}
	b.WriteString(": ")
	if e.Text != "" {
		b.WriteString(e.Text)
	} else {
		b.WriteString(plain(e.Cause.Error()))
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap gives the engine's own error.
func (e *Error) Unwrap() error { return e.Cause }

// IsNotFound reports whether the engine does not have what was asked for.
func IsNotFound(err error) bool { return cerrdefs.IsNotFound(err) }

// IsConflict reports whether a name is taken, or the thing is in use.
func IsConflict(err error) bool { return cerrdefs.IsConflict(err) }

// IsInUse reports whether a network, volume or image was not removed because something uses it.
func IsInUse(err error) bool {
	return !errors.Is(err, errMiscounted) && (IsConflict(err) || activeEndpoints(err))
}

// IsUnreachable reports whether the engine could not be talked to at all.
func IsUnreachable(err error) bool { return client.IsErrConnectionFailed(err) }

// fail wraps an engine's error; nil stays nil, and an error that has been wrapped already stays as it is.
func (e *Engine) fail(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	if wrapped := (*Error)(nil); errors.As(err, &wrapped) {
		return err
	}
	text, hint := explain(err, e.host.Name)
	return &Error{Host: e.host.Name, Op: op, Subject: subject, Cause: err, Text: text, Hint: hint}
}

// rule turns one of the engine's messages into a sentence and a hint. ${n} in them is a submatch, $HOST the host.
type rule struct {
	match      *regexp.Regexp
	text, hint string
}

// rules are tried in order. The messages are those of engines 20.10 to 29; tests hold the originals.
var rules = sync.OnceValue(func() []rule {
	return []rule{
		{regexp.MustCompile(`listen (tcp|udp|sctp)\d? \S*?:(\d+): bind: address already in use`),
			"port ${2}/${1} on $HOST is already in use by another program or container", "free it or change ports:"},
		{regexp.MustCompile(`failed to bind host port (?:for )?\S*?:(\d+)(?::[0-9.]+:\d+)?/(\w+): address already in use`),
			"port ${1}/${2} on $HOST is already in use by another program or container", "free it or change ports:"},
		{regexp.MustCompile(`Bind for \S*:(\d+) failed: port is already allocated`),
			"port ${1} on $HOST is already in use by another container", "free it or change ports:"},
		{regexp.MustCompile(`cannot assign requested address`),
			"the host address of a published port is not an address of $HOST", "correct host_ip in ports:"},
		{regexp.MustCompile(`(?i)no such image: (\S+)`),
			"image ${1} is not on this host", "pull or build it first"},
		{regexp.MustCompile(`image with reference (\S+) was found but (?:its platform \((\S+)\) )?does not match the specified platform`),
			"image ${1} on this host is of another platform", "pull it for the wanted platform or change platform:"},
		{regexp.MustCompile(`The container name "/?([^"]+)" is already in use by container "?(\w{12})`),
			"the name ${1} is already taken by container ${2}", "remove or rename that container"},
		{regexp.MustCompile(`no space left on device`),
			"the disk of $HOST is full", "free space, for example with \"docker system prune\""},
		{regexp.MustCompile(`Pool overlaps with other one on this address space`),
			"its subnet overlaps with that of another network on $HOST", "choose another subnet in ipam:, or remove the other network"},
		{regexp.MustCompile(`could not find an available, non-overlapping IPv4 address pool|all predefined address pools have been fully subnetted`),
			"the engine has no free subnet left", "remove unused networks with \"docker network prune\" or give this one a subnet in ipam:"},
		{regexp.MustCompile(`failed to create the (ipvlan|macvlan) port: operation not supported`),
			"the kernel of $HOST has no ${1}", "give the network another driver, or constrain the service to hosts whose kernel has it"},
		{regexp.MustCompile(`network (\S+) is already using parent interface (\S+)`),
			"the network ${1} has the interface ${2} of $HOST already", "give this network another parent: in driver_opts"},
		{regexp.MustCompile(`bind source path does not exist: (\S+)`),
			"the folder ${1} to mount does not exist on $HOST", "create it there or set create_host_path: true"},
		{regexp.MustCompile(`no configured subnet(?: or ip-range)? contains? (?:the )?IP address (\S+)`),
			"the address ${1} is not in the network's subnet", "correct ipv4_address: or the subnet in ipam:"},
		{regexp.MustCompile(`^Address already in use$|[^.\w]Address already in use$`),
			"the container's network address is taken by another container", "choose another ipv4_address:"},
		{regexp.MustCompile(`network (\S+) not found`),
			"network ${1} is not on this host", ""},
		{regexp.MustCompile(`network with name (\S+) already exists`),
			"a network named ${1} is there already and is not of this project", "remove it, or set external: true to use it"},
		{regexp.MustCompile(`volume is in use - \[([^\]]+)\]`),
			"it is in use by container ${1}", "remove that container first"},
		{regexp.MustCompile(`Container \w+ is (already paused|not paused|not running)`), "it is ${1}", ""},
		{regexp.MustCompile(`could not select device driver "?([^"]*)"? with capabilities: (\[.*\])`),
			"$HOST has no device driver for ${2}", "install it there, or constrain the service to a host that has it"},
		{regexp.MustCompile(`daemon: ps: exec: "ps": executable file not found`),
			"$HOST has no program ps", "install it there (Debian's package procps)"},
		{regexp.MustCompile(`exec: \\?"([^"\\]+)\\?": (?:stat [^:]+: no such file or directory|executable file not found in \$PATH)`),
			"the image has no program ${1}", "correct command: or entrypoint:"},
		{regexp.MustCompile(`configured logging driver does not support reading`),
			"the container's logging driver keeps no logs that can be read back", "look where its logging: sends them"},
		{regexp.MustCompile(`Client sent an HTTP request to an HTTPS server`),
			"the engine speaks TLS only", "set tls: for the host to a folder with ca.pem, cert.pem and key.pem"},
		{regexp.MustCompile(`server gave HTTP response to HTTPS client`),
			"the engine does not speak TLS", "remove tls: from the host"},
		{regexp.MustCompile(`tls: (?:bad certificate|certificate required|unknown certificate authority)`),
			"the engine does not accept this client's certificate", "use one that its CA signed"},
		{regexp.MustCompile(`x509: (.*)$`),
			"the engine's certificate cannot be trusted: ${1}", "check ca.pem and the name in the host's address"},
		{regexp.MustCompile(`(?i)permission denied.*connect to the docker daemon socket|connect: permission denied`),
			"the engine's socket may not be opened by this user", "join the group that owns it, often \"docker\""},
		{regexp.MustCompile(`(?i)unauthorized: (?:authentication required|incorrect username or password)|no basic auth credentials`),
			"the registry does not accept the user and password, or wants some", "log in with \"docker login\""},
		{regexp.MustCompile(`(?i)pull access denied for ([^,]+)|requested access to the resource is denied`),
			"the registry denies access to ${1}", "check the name, or log in with \"docker login\""},
		{regexp.MustCompile(`(?i)manifest (?:for )?(\S+) (?:not found|unknown)|manifest unknown`),
			"the registry has no image ${1}", "check its name and tag"},
	}
})

// explain gives the plain sentence and the hint for an engine's error; both are empty when there is nothing better
// than the original.
func explain(err error, host string) (text, hint string) {
	if errors.Is(err, context.Canceled) {
		return "interrupted", ""
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "the engine did not answer in time", ""
	}
	var missing *exec.Error // a program that this process wanted to run: ssh, a credential helper
	if errors.As(err, &missing) && errors.Is(missing, exec.ErrNotFound) {
		return "this machine has no program " + missing.Name, "install it here"
	}
	if host == "" || host == "local" {
		host = "this host"
	}
	msg := err.Error()
	for _, r := range rules() {
		m := r.match.FindStringSubmatchIndex(msg)
		if m == nil {
			continue
		}
		text = string(r.match.ExpandString(nil, strings.ReplaceAll(r.text, "$HOST", "\x00"), msg, m))
		return strings.TrimSpace(strings.ReplaceAll(text, "\x00", host)), r.hint
	}
	return "", ""
}

// plain strips what the engine and its client put before every message.
func plain(msg string) string {
	msg = strings.TrimPrefix(msg, "Error response from daemon: ")
	msg = strings.TrimPrefix(msg, "error during connect: ")
	return strings.TrimSpace(msg)
}
