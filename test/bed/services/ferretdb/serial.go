package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"sync"
)

// FerretDB 1 runs findAndModify as a query and an update of their own, without a transaction. ZoneMTA fetches and
// defers deliveries with it: a fetch whose query came before a deferral and whose update came after it hands out the
// delivery once more, in its old state. MongoDB does such a command in one step, so here writes go one at a time.

const (
	headerSize   = 16
	opMsg        = 2013
	moreToCome   = 1 << 1
	maxMessage   = 48_000_000
	firstBody    = headerSize + 4 // after the flags of OP_MSG: the kind of the first section
	firstKey     = firstBody + 1 + 4 + 1
	kindOfOneDoc = 0
)

var serial = map[string]bool{"findAndModify": true, "findandmodify": true, "insert": true, "update": true, "delete": true}

// relay passes a client's messages on to the backend and its replies back, one at a time; serial commands of all
// clients take turns.
func relay(client net.Conn, backend net.Conn, turn *sync.Mutex) {
	defer client.Close()
	defer backend.Close()
	for {
		request, err := readMessage(client)
		if err != nil {
			return
		}
		reply, err := exchange(request, backend, turn)
		if err != nil {
			slog.Warn("backend", "error", err)
			return
		}
		if _, err := client.Write(reply); err != nil {
			return
		}
	}
}

func exchange(request []byte, backend net.Conn, turn *sync.Mutex) ([]byte, error) {
	if serial[command(request)] {
		turn.Lock()
		defer turn.Unlock()
	}
	if _, err := backend.Write(request); err != nil {
		return nil, err
	}
	if expectsNoReply(request) {
		return nil, nil
	}
	return readMessage(backend)
}

func readMessage(from net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(size[:])
	if length < headerSize || length > maxMessage {
		return nil, io.ErrUnexpectedEOF
	}
	message := make([]byte, length)
	copy(message, size[:])
	_, err := io.ReadFull(from, message[4:])
	return message, err
}

// command is the first key of an OP_MSG's document; empty for other messages.
func command(message []byte) string {
	if !isMsg(message) || len(message) < firstKey || message[firstBody] != kindOfOneDoc {
		return ""
	}
	name, _, _ := bytes.Cut(message[firstKey:], []byte{0})
	return string(name)
}

func expectsNoReply(message []byte) bool {
	return isMsg(message) && binary.LittleEndian.Uint32(message[headerSize:])&moreToCome != 0
}

func isMsg(message []byte) bool {
	return len(message) > firstBody && binary.LittleEndian.Uint32(message[12:]) == opMsg
}
