/** A group of rspamd servers, some of them broken: the next one is asked, and no message passes unscanned. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { scan, ScanUnavailable, type ScanFacts, type ScanSettings } from '../../lib/scan/scanner';

const PASSWORD = 'rspamd-secret';
const BODY = Buffer.from('Subject: hello\r\n\r\nhello\r\n');
const FACTS: ScanFacts = { id: '19b0c8d7e2f000a1b2', from: 'author@ours.example', to: ['reader@theirs.example', 'second@theirs.example'], user: 'author', ip: '192.0.2.9', helo: 'mail.ours.example', hostname: 'mail.ours.example' };

const servers: Server[] = [];

afterEach(async () => {
    await Promise.all(
        servers.splice(0).map(server => {
            server.closeAllConnections();
            return new Promise(resolve => server.close(resolve));
        })
    );
});

type Handler = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

/** A server of the group; resolves to its URL. */
async function rspamd(handler: Handler): Promise<string> {
    const server = createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => handler(request, response, Buffer.concat(chunks)));
    });
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The URL of a server that is not there any more. */
async function away(): Promise<string> {
    const url = await rspamd(() => undefined);
    const server = servers.pop();
    await new Promise(resolve => server?.close(resolve));
    return url;
}

const json = (answer: unknown): Handler => (_request, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
const clean = json({ action: 'no action', score: 0 });

/** Ways in which a server can fail. */
const BROKEN: Record<string, Handler> = {
    'answers 500': (_request, response) => response.writeHead(500).end('{"error":"out of memory"}'),
    'wants another password': (_request, response) => response.writeHead(401).end('{"error":"Unauthorized"}'),
    'answers with a web page': (_request, response) => response.setHeader('content-type', 'text/html').end('<html>It works!</html>'),
    'answers with half of it': (_request, response) => response.end('{"action": "no act'),
    'answers with something else': json({ status: 'ok' }),
    'hangs up': (_request, response) => response.destroy(),
    'hangs up in the middle': (_request, response) => response.write('{"action":', () => response.destroy())
};

function settings(list: readonly string[], changes: Partial<ScanSettings> = {}): ScanSettings {
    return { servers: list, password: PASSWORD, timeout: 5000, actions: { 'no action': 'accept' }, settingsId: '', ...changes };
}

function scanned(list: readonly string[], changes: Partial<ScanSettings> = {}, random = 0, facts = FACTS) {
    return scan(settings(list, changes), facts, BODY, Date.now, () => random);
}

async function failure(promise: Promise<unknown>): Promise<Error> {
    const result = await promise.catch((err: Error) => err);
    expect(result).toBeInstanceOf(ScanUnavailable);
    return result as Error;
}

describe('a scan', () => {
    it('gives the message whole, with what is known of its way', async () => {
        let seen: { url: string | undefined; method: string | undefined; headers: Record<string, string[] | undefined>; body: Buffer } | undefined;
        const url = await rspamd((request, response, body) => {
            seen = { url: request.url, method: request.method, headers: request.headersDistinct, body };
            clean(request, response, body);
        });
        const { verdict, server } = await scanned([url], { settingsId: 'outbound' });
        expect(verdict.action).toBe('accept');
        expect(server).toBe(url);
        expect(seen?.body).toEqual(BODY);
        expect([seen?.method, seen?.url]).toEqual(['POST', '/checkv2']);
        expect(seen?.headers).toMatchObject({
            'queue-id': [FACTS.id],
            from: [FACTS.from],
            rcpt: FACTS.to,
            user: ['author'],
            ip: ['192.0.2.9'],
            helo: ['mail.ours.example'],
            hostname: ['mail.ours.example'],
            password: [PASSWORD],
            'settings-id': ['outbound']
        });
    });

    it('passes addresses from outside as they are, but cannot be given a header by them', async () => {
        let headers: Record<string, string[] | undefined> = {};
        const url = await rspamd((request, response, body) => {
            headers = request.headersDistinct;
            clean(request, response, body);
        });
        await scanned([url], {}, 0, { ...FACTS, from: 'dörte@bücher.example', helo: 'a\r\nuser: admin', user: undefined });
        expect(Buffer.from(headers['from']?.[0] ?? '', 'latin1').toString('utf8')).toBe('dörte@bücher.example');
        expect(headers['helo']).toEqual(['a user: admin']);
        expect(headers['user']).toBeUndefined();
    });

    it('begins with a random server', async () => {
        const urls = [await rspamd(clean), await rspamd(clean), await rspamd(clean)];
        const asked = await Promise.all([0, 0.34, 0.67, 0.999].map(random => scanned(urls, {}, random)));
        expect(asked.map(({ server }) => urls.indexOf(server))).toEqual([0, 1, 2, 2]);
    });
});

describe('a server that', () => {
    it.each(Object.entries(BROKEN))('%s is followed by the next one', async (_name, handler) => {
        const [broken, whole] = [await rspamd(handler), await rspamd(clean)];
        expect(await scanned([broken, whole])).toMatchObject({ server: whole, verdict: { action: 'accept' } });
    });

    it('is not there is followed by the next one, from the end of the list too', async () => {
        const [gone, whole] = [await away(), await rspamd(clean)];
        expect((await scanned([whole, gone], {}, 0.9)).server).toBe(whole);
    });

    it('hangs leaves time for the next one', async () => {
        const [hanging, whole] = [await rspamd(() => undefined), await rspamd(clean)];
        const { server, ms } = await scanned([hanging, whole], { timeout: 600 });
        expect(server).toBe(whole);
        expect(ms).toBeGreaterThanOrEqual(290);
        expect(ms).toBeLessThan(600);
    });

    it('dribbles its answer leaves time for the next one', async () => {
        const dribbling = await rspamd((_request, response) => {
            const timer = setInterval(() => response.write(' '), 10);
            response.once('close', () => clearInterval(timer));
        });
        const whole = await rspamd(clean);
        expect((await scanned([dribbling, whole], { timeout: 600 })).server).toBe(whole);
    });

    it('never ends its answer is cut off', async () => {
        let sent = 0;
        const endless = await rspamd((_request, response) => {
            const chunk = Buffer.alloc(1024 * 1024, ' ');
            const more = () => {
                while (!response.destroyed && sent < 100 && response.write(chunk)) {
                    sent++;
                }
            };
            response.on('drain', () => (sent++, more()));
            more();
        });
        expect((await failure(scanned([endless]))).message).toContain('the answer does not end');
        expect(sent).toBeLessThan(50);
    });
});

describe('when no server gives a verdict', () => {
    it('there is none, and the log says what each one did, but no password', async () => {
        const list = [await away(), ...(await Promise.all(Object.values(BROKEN).map(rspamd)))];
        const { message } = await failure(scanned(list));
        for (const url of list) {
            expect(message).toContain(`${url}: `);
        }
        expect(message).toContain('HTTP 500');
        expect(message).toContain('ECONNREFUSED');
        expect(message).not.toContain(PASSWORD);
        expect(message).not.toMatch(/[\r\n]/);
    });

    it('all together take no more than the timeout', async () => {
        const hang: Handler = () => undefined;
        const list = [await rspamd(hang), await rspamd(hang), await rspamd(hang)];
        const started = performance.now();
        await failure(scanned(list, { timeout: 300 }));
        expect(performance.now() - started).toBeLessThan(1000);
    });
});
