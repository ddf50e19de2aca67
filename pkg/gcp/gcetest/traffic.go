package gcetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// traffic leads requests to the nodes by a forward proxy, whose targets are the addresses
// of forwarding rules.
type traffic struct {
	balance balance           // protected by Server.mu
	names   map[string]string // addresses by host name; protected by Server.mu

	once   sync.Once
	proxy  net.Listener
	plain  *fronts
	secure *fronts
}

// TrafficProxy starts the front of the load balancers, if it does not run, and returns the
// URL of an HTTP proxy on loopback that leads there:
//
//	curl --proxy URL http://203.0.113.10/path
//	curl --proxy URL --cacert … --connect-to shop.example:443:203.0.113.10:443 https://shop.example/
//
// The proxy does not change the Host header. A host name in the URL means the address that
// SetName set for it, or else the only address that exists. TrafficProxy returns "" if the
// server is closed.
func (s *Server) TrafficProxy() string {
	s.traffic.once.Do(s.startTraffic)
	if s.traffic.proxy == nil {
		return ""
	}
	return "http://" + s.traffic.proxy.Addr().String()
}

// SetName sets the address of a host name, as DNS would.
func (s *Server) SetName(name, ip string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traffic.names[name] = ip
}

// DialTraffic connects to an address of a forwarding rule, "203.0.113.10:443". Use it as
// the DialContext of an http.Transport to send any Host.
func (s *Server) DialTraffic(ctx context.Context, _, address string) (net.Conn, error) {
	proxy, err := url.Parse(s.TrafficProxy())
	if err != nil || proxy.Host == "" {
		return nil, errors.New("the stand-in is closed")
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", proxy.Host)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address)
	// The server sends nothing more before the client does, so no data is lost in the
	// reader.
	//nolint:bodyclose // an answer to CONNECT has no body
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("connect to %s: %s", address, answer.Status)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

func (s *Server) startTraffic() {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = listener.Close()
		return
	}
	s.traffic.proxy = listener
	s.traffic.plain = s.newFronts(listener.Addr())
	s.traffic.secure = s.newFronts(listener.Addr())
	s.work.Go(s.traffic.plain.serve)
	s.work.Go(s.traffic.secure.serveTLS)
	s.work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.work.Go(func() { s.admit(conn) })
		}
	})
}

func (s *Server) closeTraffic() {
	s.traffic.once.Do(func() {}) // prevents a later start
	s.mu.Lock()
	proxy, transports := s.traffic.proxy, s.traffic.balance.transports
	s.traffic.balance.transports = map[endpoint]*pooled{}
	s.mu.Unlock()
	if proxy != nil {
		_ = proxy.Close()
		s.traffic.plain.close()
		s.traffic.secure.close()
	}
	for _, p := range transports {
		p.transport.CloseIdleConnections()
	}
}

// longestHello is how long a client may take to send the target of its connection.
const longestHello = 10 * time.Second

// admit reads the target of a connection and passes the connection to the front. It parses
// the request line itself, since net/http drops a Host header that differs from it.
func (s *Server) admit(conn net.Conn) {
	admitted := make(chan struct{})
	defer close(admitted)
	s.work.Go(func() {
		select {
		case <-s.stop:
			_ = conn.Close()
		case <-admitted:
		}
	})
	_ = conn.SetReadDeadline(time.Now().Add(longestHello))
	in := bufio.NewReader(io.LimitReader(conn, 64<<10))
	line, err := in.ReadString('\n')
	parts := strings.Fields(line)
	if err != nil || len(parts) != 3 {
		_ = conn.Close()
		return
	}
	if parts[0] == http.MethodConnect {
		s.tunnel(conn, in, parts[1])
		return
	}
	target, err := url.Parse(parts[1])
	if err != nil || target.Scheme != "http" || target.Host == "" {
		answerPlain(conn, http.StatusBadRequest, "The proxy supports http URLs and CONNECT.")
		return
	}
	address, ok := s.frontAt(target.Host, "80")
	if !ok {
		answerPlain(conn, http.StatusGatewayTimeout, "No forwarding rule has the address "+target.Host+".")
		return
	}
	head := parts[0] + " " + target.RequestURI() + " " + parts[2] + "\r\n"
	_ = conn.SetReadDeadline(time.Time{})
	s.traffic.plain.take(&frontConn{
		Conn: conn, in: io.MultiReader(strings.NewReader(head), io.MultiReader(buffered(in), conn)), address: address, single: true,
	})
}

// tunnel answers CONNECT, then passes the connection to the front.
func (s *Server) tunnel(conn net.Conn, in *bufio.Reader, target string) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			_ = conn.Close()
			return
		}
		if strings.TrimSpace(line) == "" {
			break
		}
	}
	address, ok := s.frontAt(target, "443")
	if !ok {
		answerPlain(conn, http.StatusGatewayTimeout, "No forwarding rule has the address "+target+".")
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_ = conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	through := &frontConn{Conn: conn, in: io.MultiReader(buffered(in), conn), address: address}
	if s.front(address).isHTTPS() {
		s.traffic.secure.take(through)
		return
	}
	s.traffic.plain.take(through)
}

// buffered returns what the reader has already read from the connection.
func buffered(in *bufio.Reader) io.Reader {
	data, _ := in.Peek(in.Buffered()) // that much is buffered
	return strings.NewReader(string(data))
}

func answerPlain(conn net.Conn, code int, text string) {
	fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n",
		code, http.StatusText(code), len(text)+1, text)
	_ = conn.Close()
}

// frontAt returns the address of a forwarding rule for the host of a URL.
func (s *Server) frontAt(host, port string) (string, bool) {
	if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fronts := s.table().fronts
	if _, err := netip.ParseAddr(host); err != nil {
		name := host
		host = s.traffic.names[name]
		for _, f := range fronts {
			if s.traffic.names[name] == "" && host != "" && host != f.rule.IPAddress {
				return "", false // there are several addresses
			}
			if s.traffic.names[name] == "" {
				host = f.rule.IPAddress
			}
		}
	}
	address := net.JoinHostPort(host, port)
	return address, fronts[address] != nil
}

// front returns the forwarding rule at an address; nil if there is none.
func (s *Server) front(address string) *front {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table().fronts[address]
}

func (f *front) isHTTPS() bool { return f != nil && f.https }
