/**
 * A verified TLS connection to an SMTP server. ZoneMTA does not verify the certificate of a zone's host, and would send
 * the login in the clear if somebody strips STARTTLS; a connection that is opened here is never used unverified.
 */
import { connect as netConnect, isIP, type Socket } from 'node:net';
import { connect as tlsConnect, type ConnectionOptions } from 'node:tls';
import { firstReply } from './reply';

export interface Target {
    host: string;
    port: number;
    /** Name that the certificate must be for. */
    servername: string;
    /** TLS from the first byte (port 465); otherwise STARTTLS is demanded. */
    implicit: boolean;
    localAddress: string | undefined;
    /** EHLO name for the STARTTLS dialogue. */
    helo: string;
    /** For the whole set-up, ms. */
    timeout: number;
}

/**
 * Connects, and resolves to a socket that waits for an SMTP client: its next input is the server's greeting (pushed back
 * after STARTTLS, which brings no second one). A server whose greeting refuses us is handed over as it is, unencrypted: the
 * client then reports the real refusal, and nothing secret follows.
 *
 * @throws Error that names the server and what was missing; never falls back to clear text
 */
export async function connectVerified(target: Target): Promise<Socket> {
    const { host, port, localAddress } = target;
    const source = localAddress === undefined ? {} : { localAddress };
    const deadline = AbortSignal.timeout(target.timeout);
    if (target.implicit) {
        return secured(tlsOptions(target, { host, port, ...source }), deadline, target);
    }
    const socket = netConnect({ host, port, ...source });
    const abort = () => socket.destroy(new Error(`no answer within ${target.timeout} ms`));
    deadline.addEventListener('abort', abort, { once: true });
    try {
        const dialogue = new Dialogue(socket);
        const greeting = await dialogue.reply();
        if (!greeting.startsWith('220')) {
            dialogue.release(greeting);
            return unattended(socket);
        }
        const offers = await dialogue.ask(`EHLO ${target.helo}`);
        if (!/^250[- ]STARTTLS\s*$/im.test(offers)) {
            throw new Error('it does not offer STARTTLS');
        }
        const go = await dialogue.ask('STARTTLS');
        if (!go.startsWith('220')) {
            throw new Error(`STARTTLS was refused: ${go.slice(0, 100).trim()}`);
        }
        dialogue.release('');
        const encrypted = await secured(tlsOptions(target, { socket }), deadline, target);
        encrypted.unshift(Buffer.from(greeting, 'latin1'));
        return encrypted;
    } catch (err) {
        socket.destroy();
        throw named(target, err as Error);
    } finally {
        deadline.removeEventListener('abort', abort);
    }
}

function tlsOptions(target: Target, connection: ConnectionOptions): ConnectionOptions {
    const sni = isIP(target.servername) ? {} : { servername: target.servername };
    return { ...connection, ...sni, rejectUnauthorized: true, minVersion: 'TLSv1.2' };
}

function secured(options: ConnectionOptions, deadline: AbortSignal, target: Target): Promise<Socket> {
    return new Promise((resolve, reject) => {
        const socket = tlsConnect(options);
        const fail = (err: Error) => {
            socket.destroy();
            reject(named(target, err));
        };
        const abort = () => fail(new Error(`no TLS within ${target.timeout} ms`));
        deadline.addEventListener('abort', abort, { once: true });
        socket.once('error', fail);
        socket.once('secureConnect', () => {
            deadline.removeEventListener('abort', abort);
            socket.off('error', fail);
            resolve(unattended(socket));
        });
    });
}

/** Until the SMTP client listens, a reset by the other side would be an uncaught exception, and the end of the whole sender process. */
function unattended(socket: Socket): Socket {
    return socket.on('error', () => undefined);
}

function named(target: Target, err: Error): Error {
    const prefix = `Relay ${target.servername}:${target.port}: `;
    return err.message.startsWith(prefix) ? err : new Error(prefix + err.message, { cause: err });
}

/** The few lines of SMTP before STARTTLS. */
class Dialogue {
    private buffered = '';
    private waiting: { resolve: (reply: string) => void; reject: (err: Error) => void } | undefined;
    private failure: Error | undefined;
    private readonly onData = (chunk: Buffer) => {
        this.buffered += chunk.toString('latin1');
        this.settle();
    };
    private readonly onEnd = (err?: Error) => {
        this.failure = err instanceof Error ? err : new Error('the connection was closed');
        this.settle();
    };

    constructor(private readonly socket: Socket) {
        socket.on('data', this.onData);
        socket.once('error', this.onEnd);
        socket.once('close', this.onEnd);
    }

    ask(command: string): Promise<string> {
        this.socket.write(`${command}\r\n`);
        return this.reply();
    }

    /** The next whole reply, all its lines. */
    reply(): Promise<string> {
        return new Promise((resolve, reject) => {
            this.waiting = { resolve, reject };
            this.settle();
        });
    }

    /**
     * Lets go of the socket, with `pushBack` as its next input.
     *
     * @throws Error when bytes came after the reply: someone tries to slip commands into the encrypted session (CVE-2011-0411)
     */
    release(pushBack: string): void {
        this.socket.off('data', this.onData);
        this.socket.off('error', this.onEnd);
        this.socket.off('close', this.onEnd);
        this.socket.pause();
        if (pushBack) {
            this.socket.unshift(Buffer.from(pushBack, 'latin1'));
        } else if (this.buffered) {
            throw new Error('it sent more than was asked for before TLS began');
        }
    }

    private settle(): void {
        const reply = firstReply(this.buffered);
        if (typeof reply === 'object' && this.waiting) {
            this.buffered = this.buffered.slice(reply.text.length);
            this.waiting.resolve(reply.text);
            this.waiting = undefined;
        } else if (this.failure || reply === 'none') {
            this.waiting?.reject(this.failure ?? new Error('it does not speak SMTP'));
            this.waiting = undefined;
        }
    }
}
