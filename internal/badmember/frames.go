package badmember

import (
	"bytes"
	"crypto/tls"
	"io"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// framer is an HTTP/2 connection whose frames a mode writes itself.
type framer struct {
	*http2.Framer

	conn *tls.Conn
}

func newFramer(conn *tls.Conn) *framer { return &framer{http2.NewFramer(conn, conn), conn} }

// requests calls answer for each request. It ends with the connection.
func (f *framer) requests(answer func(stream uint32) error) {
	if _, err := io.ReadFull(f.conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	if f.WriteSettings() != nil {
		return
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			err = answer(frame.StreamID)
		}
		if err != nil {
			return
		}
	}
}

// headers writes the headers of an answer.
func (f *framer) headers(stream uint32, end bool, fields ...hpack.HeaderField) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range append([]hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/json"}}, fields...) {
		if err := encoder.WriteField(field); err != nil {
			return err
		}
	}
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: end})
}

// flood repeats a write instead of an answer.
func flood(write func(f *framer, stream uint32) error) func(*framer) {
	return func(f *framer) {
		go func() { _, _ = io.Copy(io.Discard, f.conn) }() // acknowledgements, until it ends
		_ = f.WriteSettings()
		for err := error(nil); err == nil; {
			err = write(f, 1)
		}
	}
}

func frameModes() []Mode {
	return []Mode{
		{Name: "settings without end", Away: true, frames: flood(func(f *framer, _ uint32) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535})
		})},
		{Name: "pings without end", Away: true, frames: flood(func(f *framer, _ uint32) error { return f.WritePing(false, [8]byte{}) })},
		{Name: "windows without end", Away: true, frames: flood(func(f *framer, _ uint32) error { return f.WriteWindowUpdate(0, 1) })},
		{Name: "empty data without end", Away: true, frames: func(f *framer) {
			f.requests(func(stream uint32) error {
				err := f.headers(stream, true)
				for err == nil {
					err = f.WriteData(stream, false, nil)
				}
				return err
			})
		}},
		{Name: "headers that go on", Away: true, frames: func(f *framer) {
			f.requests(func(stream uint32) error {
				err := f.headers(stream, false)
				for block := bytes.Repeat([]byte{0x00, 0x01, 'a', 0x01, 'b'}, 1000); err == nil; {
					err = f.WriteContinuation(stream, false, block)
				}
				return err
			})
		}},
		{Name: "resets", Away: true, frames: func(f *framer) {
			f.requests(func(stream uint32) error { return f.WriteRSTStream(stream, http2.ErrCodeRefusedStream) })
		}},
		{Name: "goodbyes", Away: true, frames: func(f *framer) {
			f.requests(func(uint32) error { return f.WriteGoAway(0, http2.ErrCodeNo, bytes.Repeat([]byte("x"), 10_000)) })
		}},
		{Name: "no answers", Away: true, frames: func(f *framer) { f.requests(func(uint32) error { return nil }) }},
	}
}
