/** A TCP connection to an SMTP server, opened and listened to until the server has greeted. */
import { connect, type Socket } from 'node:net';
import { firstReply } from './reply';

export interface Peer {
    /** An address, not a name. */
    host: string;
    port: number;
    localAddress: string;
}

/** How long to wait, ms. */
export interface Patience {
    connect: number;
    greeting: number;
}

/** The server has spoken, and its words are the socket's next input. `code` is 0 when they are no SMTP reply. */
export interface Greeted {
    socket: Socket;
    code: number;
    text: string;
}

/**
 * Nothing was heard. With a `socket` the connection stands, and an SMTP client that is given it may go on waiting. `connected`: it had
 * been made before it failed.
 */
export interface Unheard {
    error: NodeJS.ErrnoException;
    connected: boolean;
    socket?: Socket;
}

const GOODBYE_MS = 5000;

/**
 * Connects and waits for the greeting, which is pushed back: the socket is paused, and an SMTP client that gets it finds it as if it
 * had just been opened. What the network does is a result, never an exception.
 */
export function openGreeted({ host, port, localAddress }: Peer, patience: Patience): Promise<Greeted | Unheard> {
    return new Promise(resolve => {
        const socket = connect({ host, port, localAddress });
        const held: Buffer[] = [];
        let connected = false;

        const settle = (result: Greeted | Unheard) => {
            clearTimeout(timer);
            socket.off('readable', listen);
            resolve(result);
        };
        const fail = (error: NodeJS.ErrnoException) => {
            socket.destroy();
            settle({ error, connected });
        };
        const letGo = () => {
            socket.pause();
            if (held.length > 0) {
                socket.unshift(Buffer.concat(held));
            }
            return socket;
        };
        const listen = () => {
            // the end: a client that is given such a socket may not see it, and would wait for a greeting (ZoneMTA 3.11.0)
            if (socket.readableLength === 0) {
                return fail(coded('connection closed before the greeting', 'ECONNRESET'));
            }
            held.push(socket.read(socket.readableLength) as Buffer);
            const reply = firstReply(Buffer.concat(held).toString('latin1'));
            if (reply !== 'unfinished') {
                const text = reply === 'none' ? '' : reply.text;
                settle({ socket: letGo(), code: Number(text.slice(0, 3)), text });
            }
        };

        let timer = setTimeout(() => fail(coded(`connect ETIMEDOUT ${host}:${port}`, 'ETIMEDOUT')), patience.connect);
        // stays: until the client listens, a reset by the other side would be an uncaught exception
        socket.on('error', fail);
        socket.on('readable', listen);
        socket.once('connect', () => {
            connected = true;
            clearTimeout(timer);
            timer = setTimeout(() => settle({ error: coded('no greeting', 'ETIMEDOUT'), connected, socket: letGo() }), patience.greeting);
        });
    });
}

/** Takes leave of a server that will not be talked to (RFC 5321, 3.1: QUIT after a refusing greeting). */
export function leave(socket: Socket): void {
    socket.resume();
    socket.end('QUIT\r\n');
    socket.setTimeout(GOODBYE_MS, () => socket.destroy());
}

function coded(message: string, code: string): NodeJS.ErrnoException {
    return Object.assign(new Error(message), { code });
}
