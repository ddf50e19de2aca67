package port_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fedsync/fedsync/sandbox/port"
)

func TestReservedPortRefusesConnectionsAndOtherListeners(t *testing.T) {
	r, err := port.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if c, err := net.Dial("tcp", r.Address()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect to a reserved port: %v, %v, want a refusal", c, err)
	}
	if l, err := net.Listen("tcp", r.Address()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listen on a reserved port: %v, %v, want it to be in use", l, err)
	}
}

func TestProgramThatSharesCanListenOnAReservedPortAgainAndAgain(t *testing.T) {
	r, err := port.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	for range 3 {
		l := share(t, r.Address())
		c, err := net.Dial("tcp", r.Address())
		if err != nil {
			t.Fatalf("connect to a program on a reserved port: %v", err)
		}
		_ = c.Close()
		_ = l.Close()
	}
}

func TestPickedPortIsFreeAndNotOfThoseThatSystemsHandOut(t *testing.T) {
	number, err := port.Pick()
	if err != nil {
		t.Fatal(err)
	}
	if number < 1024 || number >= 32768 {
		t.Errorf("picked %d, want one from 1024 to 32767", number)
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: number})
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

// share listens as kube-apiserver does with --permit-port-sharing.
func share(t *testing.T, address string) net.Listener {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, failed)
	}}
	l, err := config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatalf("listen on a reserved port: %v", err)
	}
	return l
}
