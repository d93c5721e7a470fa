/** The scanner among servers that fail in every way: one of the group is always right. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { Scanner, ScanUnavailable } from '../../lib/scan/scanner';
import type { Body } from '../../lib/zonemta/body';

const MESSAGE = Buffer.from('From: a@example\r\n\r\nhello\r\n');
const BODY: Body = { size: MESSAGE.length, read: () => MESSAGE, dispose: async () => undefined };
const FACTS = { id: 'q1', from: 'a@example', to: ['b@example', 'c@example'], mta: 'relay.example', tls: { cipher: 'TLS_AES_256_GCM_SHA384', version: 'TLSv1.3' } };
const CLEAN = JSON.stringify({ action: 'no action', score: 0.5, symbols: {} });

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
    for (const end of ends.splice(0)) {
        await end();
    }
});

async function serve(answer: RequestListener): Promise<{ url: string; server: Server }> {
    const server = createServer((req, res) => {
        if (req.url === '/ping') {
            return void res.end('pong');
        }
        const chunks: Buffer[] = [];
        req.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
            Object.assign(req, { body: Buffer.concat(chunks) });
            answer(req, res);
        });
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    ends.push(
        () =>
            new Promise(resolve => {
                server.close(() => resolve());
                server.closeAllConnections();
            })
    );
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

const good = () => serve((_req, res) => void res.end(CLEAN));

async function refusing(): Promise<string> {
    const { url, server } = await good();
    await new Promise(resolve => server.close(resolve));
    return url;
}

/** Draws the first server first. */
function scannerFor(servers: string[], options: { timeout?: number; flags?: string[]; password?: string } = {}) {
    const events: string[] = [];
    const scanner = new Scanner(
        { servers, weights: {}, password: '', settingsId: '', flags: [], timeout: 3000, ...options },
        { ejected: server => events.push(`ejected ${server}`), returned: server => events.push(`returned ${server}`) },
        Date.now,
        () => 0
    );
    ends.unshift(() => scanner.close());
    return { scanner, events };
}

const failing: [string, RequestListener][] = [
    ['not JSON', (_req, res) => void res.end('action: no action')],
    ['HTML', (_req, res) => void res.setHeader('content-type', 'text/html').end('<html>502</html>')],
    ['status 500', (_req, res) => void res.writeHead(500).end(CLEAN)],
    ['status 403', (_req, res) => void res.writeHead(403).end('{"error":"Unauthorized"}')],
    ['cut off', (_req, res) => void res.writeHead(200, { 'content-length': 1000 }).write(CLEAN.slice(0, 20), () => res.destroy())],
    ['an unknown action', (_req, res) => void res.end(CLEAN.replace('no action', 'quarantine'))],
    ['hangs up', req => void req.socket.destroy()],
    [
        'endless and fast',
        (_req, res) => {
            const more = () => void (!res.destroyed && res.write(Buffer.alloc(65_536, 32), () => setImmediate(more)));
            more();
        }
    ]
];

it.each(failing)('a server whose answer is bad (%s) is never "clean": the next one has the word', async (_name, answer) => {
    const bad = await serve(answer);
    const { url } = await good();
    const { scanner } = scannerFor([bad.url, url]);
    const result = await scanner.scan(FACTS, BODY);
    expect(result).toMatchObject({ server: url, tried: [bad.url, url], answer: { action: 'no action' } });
    expect(result.ms).toBeLessThan(1000);
    expect(scanner.status()[0]).toMatchObject({ state: 'up', outstanding: 0 });
});

it.each<[string, RequestListener]>([
    ['says nothing', () => undefined],
    ['drips', (_req, res) => void setInterval(() => res.write(' '), 20).unref()]
])('a scan whose server %s is answered by another one within a second', async (_name, answer) => {
    const bad = await serve(answer);
    const { url } = await good();
    const { scanner, events } = scannerFor([bad.url, url]);
    for (let n = 0; n < 3; n++) {
        const { ms, server } = await scanner.scan(FACTS, BODY);
        expect(server).toBe(url);
        expect(ms).toBeLessThan(1000);
    }
    expect(events).toEqual([`ejected ${bad.url}`]);
    expect((await scanner.scan(FACTS, BODY)).tried).toEqual([url]);
});

it('a scan that merely takes long is not started again and again, and its first server may finish it', async () => {
    let asked = 0;
    const slow = () => serve((_req, res) => void setTimeout(() => res.end(CLEAN), ++asked === 1 ? 1200 : 60_000).unref());
    const servers = [(await slow()).url, (await slow()).url, (await slow()).url];
    const { scanner, events } = scannerFor(servers);
    const result = await scanner.scan(FACTS, BODY);
    expect([result.server, asked, events]).toEqual([servers[0], 2, []]);
});

it('a scan that has drawn two frozen servers is answered by the third', async () => {
    const frozen = [(await serve(() => undefined)).url, (await serve(() => undefined)).url];
    const { url } = await good();
    const { scanner } = scannerFor([...frozen, url], { timeout: 10_000 });
    const result = await scanner.scan(FACTS, BODY);
    expect(result).toMatchObject({ server: url, tried: [...frozen, url] });
    expect(result.ms).toBeLessThan(4000);
    expect(scanner.status().map(({ outstanding }) => outstanding)).toEqual([0, 0, 0]);
});

it('without any server it fails at once, with what each one did and no secret', async () => {
    const servers = [await refusing(), await refusing()];
    const { scanner } = scannerFor(servers, { password: 'correct-horse' });
    const started = Date.now();
    const err = (await scanner.scan(FACTS, BODY).catch((reason: Error) => reason)) as ScanUnavailable;
    expect(err).toBeInstanceOf(ScanUnavailable);
    expect(Date.now() - started).toBeLessThan(1000);
    expect(err.message).toMatch(/ECONNREFUSED.*; .*ECONNREFUSED/);
    expect(err.message).not.toContain('correct-horse');
});

it('all tries together end with the timeout', async () => {
    const servers = await Promise.all([1, 2, 3].map(async () => (await serve(() => undefined)).url));
    const { scanner } = scannerFor(servers, { timeout: 900 });
    const started = Date.now();
    await expect(scanner.scan(FACTS, BODY)).rejects.toThrow('no verdict in 900 ms');
    expect(Date.now() - started).toBeLessThan(1300);
    expect(scanner.status().every(({ outstanding }) => outstanding === 0)).toBe(true);
});

it('a server that comes back gets a ping, one scan, and its share again', async () => {
    const url = await refusing();
    const other = (await good()).url;
    const { scanner, events } = scannerFor([url, other]);
    expect((await scanner.scan(FACTS, BODY)).tried).toEqual([url, other]);
    const back = createServer((req, res) => void res.end(req.url === '/ping' ? 'pong' : CLEAN));
    await new Promise<void>(resolve => back.listen(Number(new URL(url).port), '127.0.0.1', resolve));
    ends.push(() => new Promise(resolve => back.close(() => resolve()).closeAllConnections()));
    await vi.waitFor(() => expect(scanner.status()[0]?.state).toBe('half-open'), 5000);
    expect((await scanner.scan(FACTS, BODY)).server).toBe(url);
    expect(events).toEqual([`ejected ${url}`, `returned ${url}`]);
});

it('rspamd is told all that is known of the message', async () => {
    let seen: string[] = [];
    let body: unknown;
    const { url } = await serve((req, res) => {
        seen = req.rawHeaders;
        body = (req as unknown as { body: Buffer }).body;
        res.end(CLEAN);
    });
    const { scanner } = scannerFor([url], { password: 'pw', flags: ['pass_all', 'groups'] });
    const facts = { ...FACTS, from: '', user: 'münchen\r\nIP: 10.0.0.1', ip: '192.0.2.1', helo: 'mail.example', hostname: 'client.example' };
    await scanner.scan(facts, BODY);
    const pairs = seen.flatMap((name, index) => (index % 2 ? [] : [`${name}: ${Buffer.from(seen[index + 1] ?? '', 'latin1').toString()}`]));
    expect(pairs).toEqual(
        expect.arrayContaining([
            'queue-id: q1',
            'from: <>',
            'rcpt: b@example',
            'rcpt: c@example',
            'user: münchen IP: 10.0.0.1',
            'ip: 192.0.2.1',
            'helo: mail.example',
            'hostname: client.example',
            'mta-name: relay.example',
            'tls-cipher: TLS_AES_256_GCM_SHA384',
            'tls-version: TLSv1.3',
            'password: pw',
            'flags: pass_all,groups'
        ])
    );
    expect(pairs.some(pair => pair.startsWith('settings-id'))).toBe(false);
    expect(body).toEqual(MESSAGE);
});
