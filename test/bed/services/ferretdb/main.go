// A MongoDB server for the test bed: FerretDB 1 on SQLite files.
//
// FerretDB's own command cannot be had by `go install ...@v1.24.2`: it panics at its start, because the file with its
// version number is generated for releases and not part of the Go module. So this embeds it, as its API intends.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:27017", "address and port")
	dir := flag.String("dir", ".", "folder of the SQLite files")
	flag.Parse()

	// At a lower level it prints every command that it does not know, `endSessions` of each client for one.
	slog.SetLogLoggerLevel(slog.LevelError)

	inner := filepath.Join(*dir, "ferretdb.sock")
	_ = os.Remove(inner) // left behind by a killed one
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: inner},
		Handler:   "sqlite",
		SQLiteURL: "file:" + *dir + "/",
	})
	if err != nil {
		log.Fatal(err)
	}

	outer, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	go accept(outer, inner)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

func accept(outer net.Listener, inner string) {
	var turn sync.Mutex
	for {
		client, err := outer.Accept()
		if err != nil {
			log.Fatal(err)
		}
		backend, err := net.Dial("unix", inner)
		if err != nil {
			client.Close() // it is still starting; the client will ask again
			continue
		}
		go relay(client, backend, &turn)
	}
}
