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
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:27017", "address and port")
	dir := flag.String("dir", ".", "folder of the SQLite files")
	flag.Parse()

	// At a lower level it prints every command that it does not know, `endSessions` of each client for one.
	slog.SetLogLoggerLevel(slog.LevelError)

	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: *listen},
		Handler:   "sqlite",
		SQLiteURL: "file:" + *dir + "/",
	})
	if err != nil {
		log.Fatal(err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
