// Package port reserves TCP ports of the loopback interface for programs that open
// them later, and open them again after a kill.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reservation keeps other programs from using one port. It is bound but does not
// listen: connections are refused until a program of the same user listens there with
// SO_REUSEPORT.
type Reservation struct {
	fd     int
	number int
}

// Reserve reserves any free port of 127.0.0.1.
func Reserve() (*Reservation, error) {
	// Without the lock, a child that is forked between the two calls would inherit
	// the socket.
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	number, err := bind(fd)
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", errors.Join(err, unix.Close(fd)))
	}
	return &Reservation{fd: fd, number: number}, nil
}

func bind(fd int) (int, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	return address.(*unix.SockaddrInet4).Port, nil
}

// Number returns the port.
func (r *Reservation) Number() int { return r.number }

// Address returns the host and port.
func (r *Reservation) Address() string { return fmt.Sprintf("127.0.0.1:%d", r.number) }

// Pick returns a port that is free now, for a program that cannot share one with a
// [Reservation]. It is below the ephemeral ports, so no outgoing connection can take it
// before the program does.
func Pick() (int, error) {
	const low, high, tries = 20000, 30000, 100
	var last error
	for range tries {
		number := low + rand.IntN(high-low)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", number))
		if err == nil {
			return number, listener.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("pick a port: %w", last)
}

// Close releases the port.
func (r *Reservation) Close() error { return unix.Close(r.fd) }
