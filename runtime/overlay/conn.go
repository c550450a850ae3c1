package overlay

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a route netlink socket that sends many requests in one system call, which the netlink package does not:
// 30,000 entries take 0.1 s instead of 0.5 s. Not safe for concurrent use.
type conn struct {
	fd  int
	seq uint32
	buf []byte
}

// message is one request; what it asks for comes back as its error.
type message struct {
	kind  uint16 // RTM_…
	flags uint16 // beside NLM_F_REQUEST
	body  []byte
}

const (
	headerLen = unix.SizeofNlMsghdr
	// batchLen is how many requests go into one system call. The kernel answers failures at once into the receive
	// buffer, so a batch must be small enough that all of them failing still fits.
	batchLen = 128
	// answerTimeout bounds the wait for the kernel; it answers in microseconds, so this only turns a lost answer
	// into an error.
	answerTimeout = 5 * time.Second
	dumpRetries   = 5
)

// dial opens a socket in the network namespace of the calling thread.
func dial() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("overlay: open a netlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("overlay: bind a netlink socket: %w", err)
	}
	// Best effort: without them answers are larger, or an overrun shows as an error of the batch.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<20)
	tv := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("overlay: set the netlink timeout: %w", err)
	}
	return &conn{fd: fd, buf: make([]byte, 1<<16)}, nil
}

func (c *conn) close() { unix.Close(c.fd) }

// batch sends all messages in order and returns an error for each, nil where the kernel did as asked.
func (c *conn) batch(msgs []message) []error {
	errs := make([]error, len(msgs))
	for at := 0; at < len(msgs); at += batchLen {
		end := min(at+batchLen, len(msgs))
		if err := c.chunk(msgs[at:end], errs[at:end]); err != nil {
			for i := at; i < len(msgs); i++ {
				if errs[i] == nil {
					errs[i] = err
				}
			}
			return errs
		}
	}
	return errs
}

// one sends a single message.
func (c *conn) one(m message) error { return c.batch([]message{m})[0] }

// chunk sends up to batchLen messages. The kernel reports failures by itself; only the last message asks for an
// answer in any case, which tells that all before it are done.
func (c *conn) chunk(msgs []message, errs []error) error {
	first := c.seq + 1
	var out []byte
	for i, m := range msgs {
		flags := m.flags | unix.NLM_F_REQUEST
		if i == len(msgs)-1 {
			flags |= unix.NLM_F_ACK
		}
		c.seq++
		out = appendHeader(out, m.kind, flags, c.seq, len(m.body))
		out = append(out, m.body...)
		for len(out)%unix.NLMSG_ALIGNTO != 0 {
			out = append(out, 0)
		}
	}
	if err := c.send(out); err != nil {
		return err
	}
	last := c.seq
	for done := false; !done; {
		err := c.receive(func(kind, _ uint16, seq uint32, body []byte) error {
			if kind != unix.NLMSG_ERROR || len(body) < 4 || seq-first >= uint32(len(msgs)) {
				return nil // an answer to an earlier request that timed out
			}
			if code := int32(order.Uint32(body)); code != 0 {
				errs[seq-first] = unix.Errno(-code)
			}
			done = done || seq == last
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dump calls visit with each record of a table. A table that keeps changing while it is read may miss entries.
func (c *conn) dump(kind uint16, body []byte, begin func(), visit func(body []byte)) error {
	for try := 1; ; try++ {
		begin()
		torn, err := c.dumpOnce(kind, body, visit)
		if err != nil || !torn || try == dumpRetries {
			return err
		}
	}
}

func (c *conn) dumpOnce(kind uint16, body []byte, visit func(body []byte)) (torn bool, err error) {
	c.seq++
	want := c.seq
	out := appendHeader(nil, kind, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, want, len(body))
	if err := c.send(append(out, body...)); err != nil {
		return false, err
	}
	for done := false; !done; {
		err := c.receive(func(kind, flags uint16, seq uint32, body []byte) error {
			if seq != want {
				return nil
			}
			torn = torn || flags&unix.NLM_F_DUMP_INTR != 0
			switch kind {
			case unix.NLMSG_DONE:
				done = true
			case unix.NLMSG_ERROR:
				done = true
				if len(body) >= 4 {
					if code := int32(order.Uint32(body)); code != 0 {
						return unix.Errno(-code)
					}
				}
			default:
				visit(body)
			}
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	return torn, nil
}

func (c *conn) send(b []byte) error {
	for {
		err := unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		if err == nil || !errors.Is(err, unix.EINTR) {
			return wrapNetlink("send to", err)
		}
	}
}

// receive reads one datagram and calls visit with each message in it.
func (c *conn) receive(visit func(kind, flags uint16, seq uint32, body []byte) error) error {
	n, from, err := unix.Recvfrom(c.fd, c.buf, 0)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return wrapNetlink("read from", err)
	}
	if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
		return nil // only the kernel speaks as 0
	}
	return eachMessage(c.buf[:n], visit)
}

// eachMessage cuts a datagram into messages.
func eachMessage(b []byte, visit func(kind, flags uint16, seq uint32, body []byte) error) error {
	for len(b) >= headerLen {
		size := int(order.Uint32(b))
		if size < headerLen || size > len(b) {
			return errors.New("overlay: the kernel sent a netlink message of wrong length")
		}
		err := visit(order.Uint16(b[4:]), order.Uint16(b[6:]), order.Uint32(b[8:]), b[headerLen:size])
		if err != nil {
			return err
		}
		b = b[min(align(size), len(b)):]
	}
	return nil
}

func wrapNetlink(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("overlay: %s the kernel by netlink: %w", what, os.NewSyscallError("netlink", err))
}

func appendHeader(b []byte, kind, flags uint16, seq uint32, body int) []byte {
	b = order.AppendUint32(b, uint32(headerLen+body))
	b = order.AppendUint16(b, kind)
	b = order.AppendUint16(b, flags)
	b = order.AppendUint32(b, seq)
	return order.AppendUint32(b, 0)
}

// align rounds up to the 4 bytes of netlink messages and attributes.
func align(n int) int { return (n + 3) &^ 3 }

// appendAttr adds one attribute.
func appendAttr(b []byte, kind uint16, value []byte) []byte {
	b = order.AppendUint16(b, uint16(4+len(value)))
	b = order.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// eachAttr calls visit with each attribute, its kind without the nested and byte order marks.
func eachAttr(b []byte, visit func(kind uint16, value []byte)) {
	for len(b) >= 4 {
		size := int(order.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		visit(order.Uint16(b[2:])&nlaTypeMask, b[4:size])
		b = b[min(align(size), len(b)):]
	}
}

func u32(v uint32) []byte { return order.AppendUint32(nil, v) }

func u8(v bool) []byte {
	if v {
		return []byte{1}
	}
	return []byte{0}
}

// nlaTypeMask leaves out NLA_F_NESTED and NLA_F_NET_BYTEORDER (linux/netlink.h).
const nlaTypeMask = ^uint16(unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
