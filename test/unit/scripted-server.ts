import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';

export interface ScriptedServer {
    host: string;
    port: number;
    /** All that clients have sent. */
    heard: () => string;
    stop: () => Promise<void>;
}

/** A server that says what it is told to say: `talk` gets each connection. */
export async function startScripted(host: string, talk: (socket: Socket) => void): Promise<ScriptedServer> {
    let heard = '';
    const open = new Set<Socket>();
    const server = createServer(socket => {
        open.add(socket);
        socket.on('data', chunk => (heard += chunk.toString('latin1')));
        socket.on('error', () => undefined);
        socket.on('close', () => open.delete(socket));
        talk(socket);
    });
    server.listen(0, host);
    await once(server, 'listening');
    const stop = async () => {
        open.forEach(socket => socket.destroy());
        await new Promise(resolve => server.close(resolve));
    };
    return { host, port: (server.address() as AddressInfo).port, heard: () => heard, stop };
}

/** Answers each line with the next reply. */
export function answering(greeting: string, ...replies: string[]): (socket: Socket) => void {
    return socket => {
        socket.write(greeting);
        socket.on('data', () => {
            const reply = replies.shift();
            if (reply !== undefined) {
                socket.write(reply);
            }
        });
    };
}
