import { once } from 'node:events';
import net from 'node:net';

/**
 * One set-up at a time for each user: two terminals must not run `npm ci` in one folder.
 * The lock is an abstract socket, so the kernel takes it back whatever happens to its holder.
 * @returns a function that releases the lock
 */
export async function takeLock() {
    // Abstract sockets are Linux's; elsewhere only the parts without services work anyway.
    if (process.platform !== 'linux') return () => undefined;
    const path = `\0zonemta-smart-relay-setup-${process.getuid()}`;
    for (;;) {
        const waiting = new Set();
        const server = net.createServer(socket => {
            waiting.add(socket);
            socket.on('error', () => undefined).unref();
        });
        try {
            server.listen(path);
            await once(server, 'listening');
            server.unref();
            return () => {
                server.close();
                for (const socket of waiting) socket.destroy();
            };
        } catch (error) {
            if (error.code !== 'EADDRINUSE') throw error;
            await holderGone(path);
        }
    }
}

/** The holder never speaks: the end of the connection is the end of the lock. */
function holderGone(path) {
    return new Promise(resolve => {
        const socket = net.connect(path);
        socket.on('error', () => undefined);
        socket.on('close', resolve);
        socket.resume();
    });
}
