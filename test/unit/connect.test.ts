/** The connection to the relay: encrypted to the right server, or none at all. Real TLS on loopback; the client is nodemailer, as in ZoneMTA. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { connectVerified, type Target } from '../../lib/connect/verified-tls';
import { makeAuthority, RelayServer, type Authority } from '../bed/internet';
import { claimLoopback, type Loopback } from '../bed/services/loopback';
import { answering, startScripted, type ScriptedServer } from './scripted-server';

const USER = 'us';
const PASSWORD = 'open-sesame';
const PORTS = { starttls: 2587, tls: 2465 };
const TIMEOUT = 5000;

let folder: string;
let loopback: Loopback;
let authority: Authority;
let relay: RelayServer;

/** What NODE_EXTRA_CA_CERTS does at the start of a process: certificates of the authority are trusted besides the usual ones. */
function trust(caFile: string): void {
    const ca = [...tls.rootCertificates, readFileSync(caFile, 'utf8')];
    const original = tls.createSecureContext;
    vi.spyOn(tls, 'createSecureContext').mockImplementation(options => original({ ca, ...options }));
}

beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'connect-'));
    loopback = await claimLoopback();
    authority = await makeAuthority(folder);
    relay = await RelayServer.start({ k: loopback.k, authority, user: USER, password: PASSWORD, ports: PORTS });
});

afterAll(async () => {
    await relay.stop();
    await loopback.release();
    rmSync(folder, { recursive: true });
});

beforeEach(() => trust(authority.caFile));

const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
    vi.restoreAllMocks();
    relay.showCertificate('right');
    relay.offerStarttls(true);
    for (const cleanUp of cleanUps.splice(0).reverse()) {
        await cleanUp();
    }
});

function target(changes: Partial<Target> = {}): Target {
    const implicit = changes.implicit === true;
    return { host: relay.address, port: implicit ? PORTS.tls : PORTS.starttls, servername: relay.name, implicit, localAddress: undefined, helo: 'out.example', timeout: TIMEOUT, ...changes };
}

async function connected(changes: Partial<Target> = {}): Promise<Socket> {
    const socket = await connectVerified(target(changes));
    cleanUps.push(() => socket.destroy());
    return socket;
}

/** An SMTP client on a socket that is there already, as lib/sender.js of ZoneMTA makes it. */
function client(socket: Socket): SMTPConnection {
    const connection = new SMTPConnection({ connection: socket, ignoreTLS: true, name: 'out.example', greetingTimeout: TIMEOUT });
    cleanUps.push(() => connection.close());
    return connection;
}

/** Connects and logs in; resolves when the relay has accepted the login. */
function logIn(socket: Socket): Promise<void> {
    const connection = client(socket);
    return new Promise((resolve, reject) => {
        connection.once('error', reject);
        connection.connect(() => connection.login({ user: USER, pass: PASSWORD }, err => (err ? reject(err) : resolve())));
    });
}

/** A server that says what it is told to say: `talk` gets each connection. */
async function scripted(talk: (socket: Socket) => void): Promise<ScriptedServer> {
    const server = await startScripted(loopback.host, talk);
    cleanUps.push(() => server.stop());
    return server;
}

describe('the relay with the right certificate', () => {
    it.each([
        ['STARTTLS', false],
        ['TLS from the first byte', true]
    ])('takes the login over %s', async (_name, implicit) => {
        const socket = await connected({ implicit });
        expect(socket).toMatchObject({ authorized: true, encrypted: true });
        await logIn(socket);
        expect(relay.loginsInClear).toBe(0);
    });

    it.each([false, true])('is connected to from the address of the zone (implicit: %s)', async implicit => {
        const localAddress = `127.${loopback.k}.16.9`;
        expect((await connected({ implicit, localAddress })).localAddress).toBe(localAddress);
    });
});

describe('a relay that cannot prove who it is', () => {
    it.each([false, true])('with a certificate for another name is refused (implicit: %s)', async implicit => {
        relay.showCertificate('wrong');
        await expect(connectVerified(target({ implicit }))).rejects.toThrow(/^Relay relay\.example:\d+: Hostname\/IP does not match certificate's altnames/);
    });

    it.each([false, true])('with a certificate of an unknown authority is refused (implicit: %s)', async implicit => {
        vi.restoreAllMocks();
        await expect(connectVerified(target({ implicit }))).rejects.toThrow(/^Relay relay\.example:\d+: (unable to verify|self[- ]signed)/);
    });

    it('without STARTTLS, as behind somebody who strips it, is refused before a login in clear', async () => {
        relay.offerStarttls(false);
        await expect(connectVerified(target())).rejects.toThrow(`Relay relay.example:${PORTS.starttls}: it does not offer STARTTLS`);
        expect(relay.loginsInClear).toBe(0);
    });

    it('that answers STARTTLS with a refusal is left with nothing but EHLO and STARTTLS said', async () => {
        const server = await scripted(answering('220 relay.example\r\n', '250-relay.example\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n', '454 4.7.0 TLS not available\r\n'));
        await expect(connectVerified(target(server))).rejects.toThrow(/STARTTLS was refused: 454 4\.7\.0 TLS not available$/);
        expect(server.heard()).toBe('EHLO out.example\r\nSTARTTLS\r\n');
    });

    it('with commands slipped in behind the STARTTLS reply is refused', async () => {
        const server = await scripted(answering('220 relay.example\r\n', '250-relay.example\r\n250 STARTTLS\r\n', '220 go ahead\r\n250 injected\r\n'));
        await expect(connectVerified(target(server))).rejects.toThrow('it sent more than was asked for before TLS began');
    });

    it('that speaks no TLS after STARTTLS is refused', async () => {
        const server = await scripted(answering('220 relay.example\r\n', '250 STARTTLS\r\n', '220 go ahead\r\n', '500 what?\r\n'));
        await expect(connectVerified(target(server))).rejects.toThrow(/^Relay relay\.example:\d+: /);
    });
});

describe('a relay that refuses us at its greeting', () => {
    it('is reported with its own words, however long they are', async () => {
        const server = await scripted(answering('554-blocked,\r\n554 see http://relay.example/why\r\n'));
        const socket = await connected(server);
        const connection = client(socket);
        const failed = once(connection, 'error') as Promise<[Error & { responseCode?: number; response?: string }]>;
        connection.connect(() => undefined);
        const [err] = await failed;
        expect(err).toMatchObject({ responseCode: 554, response: '554-blocked,\n554 see http://relay.example/why' });
        expect(server.heard()).not.toMatch(/AUTH|MAIL/);
    });
});

describe('a relay that is not well', () => {
    const silent: [string, (socket: Socket) => void, boolean][] = [
        ['says nothing at all', () => undefined, false],
        ['says nothing to EHLO', answering('220 relay.example\r\n'), false],
        ['begins a reply and never ends it', answering('220-relay.example\r\n220-still'), false],
        ['says nothing once TLS begins', answering('220 relay.example\r\n', '250 STARTTLS\r\n', '220 go ahead\r\n'), false],
        ['says nothing on the TLS port', () => undefined, true]
    ];

    it.each(silent)('ends by the timeout when it %s', async (_name, talk, implicit) => {
        const server = await scripted(talk);
        await expect(connectVerified(target({ ...server, implicit, timeout: 200 }))).rejects.toThrow(/^Relay relay\.example:\d+: no (answer|TLS) within 200 ms$/);
    });

    it.each([
        ['hangs up', socket => socket.end()],
        ['hangs up after its greeting', socket => socket.end('220 relay.example\r\n')],
        ['resets the connection', socket => socket.resetAndDestroy()]
    ] satisfies [string, (socket: Socket) => void][])('is named when it %s', async (_name, talk) => {
        await expect(connectVerified(target(await scripted(talk)))).rejects.toThrow(/^Relay relay\.example:\d+: (the connection was closed|(read|connect) ECONNRESET.*)$/);
    });

    it('is named when nobody listens', async () => {
        const server = await startScripted(loopback.host, () => undefined);
        await server.stop();
        await expect(connectVerified(target(server))).rejects.toThrow(/ECONNREFUSED/);
    });

    it('cannot fill the memory with a greeting that does not end', async () => {
        const server = await scripted(socket => socket.write('x'.repeat(64 * 1024)));
        await expect(connectVerified(target(server))).rejects.toThrow('it does not speak SMTP');
    });
});

describe('a connection that breaks after it was handed over, before the client has it', () => {
    it.each([
        ['encrypted', async () => connected()],
        ['refused', async () => connected(await scripted(answering('554 no\r\n')))]
    ])('does not end the process (%s)', async (_name, open) => {
        const socket = await open();
        const gone = new Promise(resolve => socket.once('close', resolve));
        socket.destroy(new Error('reset by the network'));
        // an error that nobody listens for would be an uncaught exception, and fail this file
        await gone;
    });
});
