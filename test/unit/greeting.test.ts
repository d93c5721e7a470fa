/** Connecting and waiting for the greeting, whatever the server does; the client that gets the socket is nodemailer, as in ZoneMTA. */
import type { Socket } from 'node:net';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { leave, openGreeted, type Greeted, type Patience, type Unheard } from '../../lib/connect/greeting';
import { claimLoopback, type Loopback } from '../bed/services/loopback';
import { answering, startScripted, type ScriptedServer } from './scripted-server';

const PATIENCE: Patience = { connect: 5000, greeting: 5000 };

let loopback: Loopback;
let localAddress: string;
const cleanUps: (() => unknown)[] = [];

beforeAll(async () => {
    loopback = await claimLoopback();
    localAddress = `127.${loopback.k}.16.9`;
});
afterAll(() => loopback.release());
afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) {
        await cleanUp();
    }
});

async function scripted(talk: (socket: Socket) => void): Promise<ScriptedServer> {
    const server = await startScripted(loopback.host, talk);
    cleanUps.push(() => server.stop());
    return server;
}

async function open({ host, port }: Pick<ScriptedServer, 'host' | 'port'>, patience: Partial<Patience> = {}): Promise<Greeted | Unheard> {
    const opened = await openGreeted({ host, port, localAddress }, { ...PATIENCE, ...patience });
    cleanUps.push(() => opened.socket?.destroy());
    return opened;
}

/** What an SMTP client makes of the socket: "connected", or its error. */
function client(socket: Socket | undefined): Promise<string> {
    const connection = new SMTPConnection({ connection: socket, ignoreTLS: true, name: 'out.example', greetingTimeout: 5000 });
    cleanUps.push(() => connection.close());
    return new Promise(resolve => {
        const failed = (err: Error & { response?: string | undefined }) => resolve(`${err.message} ${err.response ?? ''}`);
        connection.once('error', failed);
        connection.connect(err => (err ? failed(err) : resolve('connected')));
    });
}

describe('a server that greets', () => {
    const EHLO = '250 mx.example\r\n';

    it('is handed over with its greeting unread, from the address that was asked for', async () => {
        const server = await scripted(answering('220 mx.example ESMTP\r\n', EHLO));
        const opened = await open(server);
        expect(opened).toMatchObject({ code: 220, text: '220 mx.example ESMTP\r\n' });
        expect(opened.socket?.localAddress).toBe(localAddress);
        expect(server.heard()).toBe('');
        expect(await client(opened.socket)).toBe('connected');
    });

    it('in several lines, and in pieces, is waited for to the last of them', async () => {
        const pieces = ['22', '0-mx.example\r', '\n220-no spam\r\n2', '20 ESMTP', '\r\n'];
        const server = await scripted(socket => {
            const next = () => {
                const piece = pieces.shift();
                if (piece !== undefined) {
                    socket.write(piece, () => setTimeout(next, 20));
                }
            };
            next();
            socket.on('data', () => socket.write(EHLO));
        });
        const opened = await open(server);
        expect(opened).toMatchObject({ code: 220, text: '220-mx.example\r\n220-no spam\r\n220 ESMTP\r\n' });
        expect(await client(opened.socket)).toBe('connected');
    });

    it('with a refusal gives its whole text, and the client gets the same', async () => {
        const server = await scripted(socket => socket.end('554-mx.example\r\n554 poor reputation\r\n'));
        const opened = await open(server);
        expect(opened).toMatchObject({ code: 554, text: '554-mx.example\r\n554 poor reputation\r\n' });
        expect(await client(opened.socket)).toMatch(/554-mx\.example\n554 poor reputation$/);
    });

    it('and is left alone is told so', async () => {
        const server = await scripted(answering('554 no\r\n', '221 bye\r\n'));
        const { socket } = await open(server);
        leave(socket as Socket);
        await expect.poll(() => server.heard()).toBe('QUIT\r\n');
    });
});

describe('what is no greeting', () => {
    it.each([
        ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n', 'SSH-2.0-OpenSSH_9.2'],
        ['control bytes', '\u0000\u0001\u00ff\n', 'Invalid greeting'],
        ['a continuation that breaks off', '554-mx\r\nHello\r\n', 'Invalid greeting']
    ])('%s is no reply, and the client sees it', async (_name, words, seen) => {
        const opened = await open(await scripted(socket => socket.write(words, 'latin1')));
        expect(opened).toMatchObject({ code: 0, text: '' });
        expect(await client(opened.socket)).toContain(seen);
    });

    it('a line of 64 KiB is not read to its end', async () => {
        const opened = await open(await scripted(socket => socket.write(`220 ${'x'.repeat(64 * 1024)}\r\n`)));
        expect(opened).toMatchObject({ code: 0, text: '' });
    });

    it('lines without an end are given up', async () => {
        const server = await scripted(socket => {
            const more = () => socket.writable && socket.write('220-and so on\r\n'.repeat(100), more);
            more();
        });
        expect(await open(server)).toMatchObject({ code: 0, text: '' });
    });
});

describe('a server that is not heard', () => {
    it('since nothing listens there: the error of the network, and no connection', async () => {
        const server = await scripted(() => undefined);
        await server.stop();
        const opened = await open(server);
        expect(opened).toMatchObject({ error: { code: 'ECONNREFUSED' }, connected: false });
        expect(opened.socket).toBeUndefined();
    });

    it('and says nothing in time is handed over as it is: the client may wait longer', async () => {
        const server = await scripted(socket => setTimeout(() => answering('220 at last\r\n', '250 mx\r\n')(socket), 300));
        const opened = await open(server, { greeting: 100 });
        expect(opened).toMatchObject({ error: { code: 'ETIMEDOUT' }, connected: true });
        expect(await client(opened.socket)).toBe('connected');
    });

    it('with half a line in time loses none of it', async () => {
        const server = await scripted(socket => {
            socket.write('220 at ');
            setTimeout(() => answering('last\r\n', '250 mx\r\n')(socket), 300);
        });
        const opened = await open(server, { greeting: 100 });
        expect(opened).toMatchObject({ connected: true });
        expect(await client(opened.socket)).toBe('connected');
    });

    it.each([
        ['without a word', ''],
        ['in the middle of a line', '220 hel']
    ])('and closes %s: as one that resets, for a client that gets such a socket may wait for minutes', async (_name, words) => {
        const opened = await open(await scripted(socket => socket.end(words)));
        expect(opened).toMatchObject({ error: { code: 'ECONNRESET' }, connected: true });
        expect(opened.socket).toBeUndefined();
    });

    it('and resets the connection: the error of the network, after a connection', async () => {
        const opened = await open(await scripted(socket => setTimeout(() => socket.resetAndDestroy(), 50)));
        expect(opened).toMatchObject({ error: { code: 'ECONNRESET' }, connected: true });
        expect(opened.socket).toBeUndefined();
    });

    it('from an address that is not ours: the error of the network', async () => {
        const { host, port } = await scripted(() => undefined);
        expect(await openGreeted({ host, port, localAddress: '192.0.2.1' }, PATIENCE)).toMatchObject({ error: { code: 'EADDRNOTAVAIL' }, connected: false });
    });
});
