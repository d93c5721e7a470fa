import { execFile } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
    accept,
    closed,
    contentRefused,
    DnsServer,
    greylist,
    makeAuthority,
    MxFarm,
    planMxHosts,
    refuseAll,
    refuseShare,
    RelayServer,
    REPLIES,
    reverseZones,
    shareOf,
    Sink,
    timeout,
    unknownUser,
    type Authority,
    type Destination
} from '../bed/internet';

const run = promisify(execFile);
const DEADLINE = 5_000;
const MX_PORT = 2525;

let k = 0;
let dns: DnsServer;

beforeAll(async () => {
    // The name server's port is the lock of a world: the first free one is ours.
    for (k = 20; k < 40; k++) {
        try {
            dns = await DnsServer.start({ k });
            return;
        } catch (fault) {
            if ((fault as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
                throw fault;
            }
        }
    }
    throw new Error('no free world from 20 to 39');
});

afterAll(async () => {
    await dns.stop();
});

/** The n-th address of the pool. */
function source(n: number): string {
    return `127.${k}.16.${n}`;
}

interface Letter {
    host: string;
    to: string;
    from?: string;
    localAddress?: string;
    testId?: string;
    port?: number;
    [option: string]: unknown;
}

/** Sends one message the way an MTA does; the reply that ended it, accepted or not. */
async function send({ to, from = 'author@ours.example', testId = 't1', ...options }: Letter): Promise<string> {
    const transport = createTransport({ port: MX_PORT, name: 'out.ours.example', ignoreTLS: true, localAddress: source(1), ...options });
    try {
        const sent = await transport.sendMail({ envelope: { from, to }, from, to, subject: 'hello', text: 'hello', headers: { 'X-Test-Id': testId } });
        return sent.response;
    } catch (fault) {
        const { response, code, message } = fault as { response?: string; code?: string; message: string };
        return response ?? `${code ?? ''} ${message}`;
    } finally {
        transport.close();
    }
}

/** What a server says from the first byte to the end, to a client that says nothing. */
async function listenTo(host: string, localAddress: string): Promise<string> {
    const socket = connect({ host, port: MX_PORT, localAddress });
    let heard = '';
    socket.setEncoding('utf8').on('data', (text: string) => (heard += text));
    socket.on('end', () => socket.end());
    await once(socket, 'close');
    return heard;
}

async function withFarm(destinations: readonly Destination[], test: (farm: MxFarm, host: (domain: string) => string) => Promise<void>): Promise<void> {
    const farm = await MxFarm.start({ k, destinations });
    try {
        await test(farm, domain => farm.hosts.find(host => host.domain === domain)?.address4 ?? '');
    } finally {
        await farm.stop();
    }
}

describe('name server', () => {
    function resolver(options: ConstructorParameters<typeof Resolver>[0] = { timeout: 2_000, tries: 1 }): Resolver {
        const own = new Resolver(options);
        own.setServers([`${dns.address}:${dns.port}`]);
        return own;
    }

    it('answers for MX, A, AAAA, TXT and PTR in any case of letters', async () => {
        dns.add({
            'one.example': { MX: [{ exchange: 'mx1.one.example', priority: 10 }], TXT: ['v=spf1 -all', 'x'.repeat(300)] },
            'mx1.one.example': { A: ['127.0.0.5'], AAAA: ['2001:db8:20:ffff::5'] },
            ...reverseZones(new Map([[source(1), 'out1.ours.example'], ['2001:db8:20::1', 'out1.ours.example']]))
        });
        const own = resolver();
        expect(await own.resolveMx('ONE.example')).toMatchObject([{ exchange: 'mx1.one.example', priority: 10 }]);
        expect(await own.resolve4('mx1.one.example')).toEqual(['127.0.0.5']);
        expect(await own.resolve6('mx1.one.example')).toEqual(['2001:db8:20:ffff::5']);
        expect((await own.resolveTxt('one.example')).map(strings => strings.join(''))).toEqual(['v=spf1 -all', 'x'.repeat(300)]);
        expect(await own.reverse(source(1))).toEqual(['out1.ours.example']);
        expect(await own.reverse('2001:db8:20::1')).toEqual(['out1.ours.example']);
        expect(await own.resolve4('out1.ours.example')).toEqual([source(1)]);
        expect(await own.resolve6('out1.ours.example')).toEqual(['2001:db8:20::1']);
        expect(dns.asked('one.example', 'MX')).toBe(1);
    });

    it('tells "no such name" from "no such record"', async () => {
        dns.add({ 'deep.two.example': { A: ['127.0.0.6'] } });
        const own = resolver();
        await expect(own.resolve4('nowhere.invalid')).rejects.toMatchObject({ code: 'ENOTFOUND' });
        await expect(own.resolveMx('deep.two.example')).rejects.toMatchObject({ code: 'ENODATA' });
        await expect(own.resolve4('two.example')).rejects.toMatchObject({ code: 'ENODATA' });
    });

    it('sends what does not fit into a datagram over TCP', async () => {
        const hosts = Array.from({ length: 120 }, (_, n) => ({ exchange: `a-rather-long-host-name-${n}.many.example`, priority: n }));
        dns.add({ 'many.example': { MX: hosts } });
        expect(await resolver().resolveMx('many.example')).toHaveLength(120);
    });

    it('can be away, or fail, and come back', async () => {
        dns.add({ 'three.example': { A: ['127.0.0.7'] } });
        dns.pause();
        await expect(resolver({ timeout: 50, tries: 1 }).resolve4('three.example')).rejects.toMatchObject({ code: 'ETIMEOUT' });
        dns.pause('failing');
        await expect(resolver().resolve4('three.example')).rejects.toMatchObject({ code: 'ESERVFAIL' });
        dns.resume();
        expect(await resolver().resolve4('three.example')).toEqual(['127.0.0.7']);
    });
});

describe('MX farm', () => {
    it('accepts, and keeps who sent what to whom from where', async () => {
        await withFarm([{ domain: 'one.example', behaviour: accept(), mxHosts: 2 }], async (farm, host) => {
            expect(await send({ host: host('one.example'), to: 'm1@one.example', localAddress: source(7), testId: 't42' })).toBe('250 OK: message queued');
            const [entry] = farm.ledger.deliveries({ domain: 'one.example' });
            expect(entry).toMatchObject({
                mx: 'mx1.one.example',
                client: source(7),
                helo: 'out.ours.example',
                from: 'author@ours.example',
                to: 'm1@one.example',
                messageId: 't42',
                stage: 'data',
                code: 250
            });
            expect(entry?.headers).toContain('Subject: hello');
            expect(entry?.raw).toBeUndefined();
            expect(farm.zones()['one.example']?.MX).toEqual([{ exchange: 'mx1.one.example', priority: 10 }, { exchange: 'mx2.one.example', priority: 20 }]);
        });
    });

    it('says the refusal in place of the greeting and hangs up', async () => {
        const destinations = [
            { domain: 'listed.example', behaviour: refuseAll('greeting', REPLIES.spamhaus) },
            { domain: 'poor.example', behaviour: refuseAll('greeting', REPLIES.ciscoPoorReputation) },
            { domain: 'busy.example', behaviour: refuseAll('greeting', REPLIES.postfixTooManyConnections) }
        ];
        await withFarm(destinations, async (farm, host) => {
            expect(await listenTo(host('listed.example'), source(9))).toBe(
                `554 5.7.1 Service unavailable; Client host [${source(9)}] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/${source(9)}\r\n`
            );
            expect(await listenTo(host('poor.example'), source(9))).toMatch(/^554-mx1\.poor\.example\r\n554 Your access [^\r\n]*\r\n$/);
            expect(await listenTo(host('busy.example'), source(9))).toBe(`421 4.7.0 mx1.busy.example Error: too many connections from ${source(9)}\r\n`);
            expect(farm.ledger.attempts({ stage: 'greeting', client: source(9) }).map(({ code }) => code)).toEqual([554, 554, 421]);
            expect(await send({ host: host('listed.example'), to: 'm1@listed.example' })).toMatch(/^554 5\.7\.1 Service unavailable/);
        });
    });

    it('refuses exactly a share of the pool at MAIL', async () => {
        const pool = Array.from({ length: 10 }, (_, n) => source(n + 1));
        const refused = shareOf(pool, 0.3, 5);
        await withFarm([{ domain: 'some.example', behaviour: refuseShare(refused, 'mail', REPLIES.microsoftBanned) }], async (farm, host) => {
            const replies = await Promise.all(pool.map(localAddress => send({ host: host('some.example'), to: 'm1@some.example', localAddress })));
            expect(replies.filter(text => text.startsWith('550 5.7.606'))).toHaveLength(3);
            expect(new Set(farm.ledger.attempts({ stage: 'mail' }).map(({ client }) => client))).toEqual(refused);
            expect(farm.ledger.deliveries()).toHaveLength(7);
        });
    });

    it('refuses a recipient and a content', async () => {
        const destinations = [
            { domain: 'unknown.example', behaviour: unknownUser() },
            { domain: 'strict.example', behaviour: contentRefused() }
        ];
        await withFarm(destinations, async (farm, host) => {
            expect(await send({ host: host('unknown.example'), to: 'm1@unknown.example' })).toMatch(/^550 5\.1\.1 <m1@unknown\.example>/);
            expect(await send({ host: host('strict.example'), to: 'm2@strict.example', testId: 't2' })).toMatch(/^554 5\.7\.1 Message rejected as spam/);
            expect(farm.ledger.attempts({ accepted: false })).toMatchObject([
                { stage: 'rcpt', to: 'm1@unknown.example', messageId: '', by: 'unknown-user' },
                { stage: 'data', to: 'm2@strict.example', messageId: 't2', by: 'content-refused' }
            ]);
        });
    });

    it('greylists each address for itself', async () => {
        let now = 1_000_000;
        const farm = await MxFarm.start({ k, destinations: [{ domain: 'grey.example', behaviour: greylist(60_000) }], now: () => now });
        try {
            const [host] = farm.hosts;
            const letter = { host: host?.address4 ?? '', to: 'm1@grey.example' };
            expect(await send({ ...letter, localAddress: source(1) })).toMatch(/^450 4\.2\.0 .*Greylisted/);
            now += 60_000;
            expect(await send({ ...letter, localAddress: source(2) })).toMatch(/^450/);
            expect(await send({ ...letter, localAddress: source(1) })).toMatch(/^250/);
        } finally {
            await farm.stop();
        }
    });

    it('never greets, or does not listen, and can change its mind', async () => {
        const destinations = [
            { domain: 'silent.example', behaviour: timeout() },
            { domain: 'closed.example', behaviour: closed() }
        ];
        await withFarm(destinations, async (farm, host) => {
            const heard = listenTo(host('silent.example'), source(1));
            expect(await farm.ledger.waitFor(({ domain }) => domain === 'silent.example', DEADLINE)).toMatchObject({ code: 0, client: source(1) });
            expect(await send({ host: host('closed.example'), to: 'm1@closed.example' })).toContain('ECONNREFUSED');
            await farm.setBehaviour('closed.example', accept());
            expect(await send({ host: host('closed.example'), to: 'm1@closed.example' })).toMatch(/^250/);
            await farm.setBehaviour('closed.example', closed());
            expect(await send({ host: host('closed.example'), to: 'm1@closed.example' })).toContain('ECONNREFUSED');
            await farm.stop();
            expect(await heard).toBe('');
        });
    });

    it('keeps on record that a client went away during DATA', async () => {
        await withFarm([{ domain: 'one.example', behaviour: accept() }], async (farm, host) => {
            const socket = connect({ host: host('one.example'), port: MX_PORT, localAddress: source(3) });
            await once(socket, 'data');
            socket.write('EHLO x\r\nMAIL FROM:<a@ours.example>\r\nRCPT TO:<m1@one.example>\r\nDATA\r\n');
            let heard = '';
            await new Promise<void>(resolve => {
                socket.on('data', (text: Buffer) => {
                    heard += text.toString();
                    if (heard.includes('354 ')) {
                        resolve();
                    }
                });
            });
            socket.write('X-Test-Id: t1\r\n');
            socket.destroy();
            expect(await farm.ledger.waitFor(({ stage }) => stage === 'data', DEADLINE)).toMatchObject({ code: 0, accepted: false, to: 'm1@one.example' });
        });
    });

    it('listens on IPv6 where lo has the addresses', async context => {
        const destinations = [{ domain: 'six.example', behaviour: refuseAll('rcpt', REPLIES.spamhaus), ipv6: true }];
        const address = planMxHosts(k, destinations)[0]?.address6 ?? '';
        try {
            await run('ip', ['-6', 'addr', 'add', `${address}/128`, 'dev', 'lo']);
        } catch {
            context.skip('needs the right to put IPv6 addresses on lo');
        }
        const farm = await MxFarm.start({ k, destinations, ipv6: true });
        try {
            expect(await send({ host: address, to: 'm1@six.example', localAddress: address })).toContain(`[${address}] blocked`);
            expect(farm.ledger.attempts()).toMatchObject([{ client: address }]);
            expect(farm.zones()['mx1.six.example']).toEqual({ A: [farm.hosts[0]?.address4], AAAA: [address] });
        } finally {
            await farm.stop();
            await run('ip', ['-6', 'addr', 'del', `${address}/128`, 'dev', 'lo']);
        }
    });

    it('frees its ports when it cannot start', async () => {
        await withFarm([{ domain: 'one.example', behaviour: accept() }], async () => {
            await expect(MxFarm.start({ k, destinations: [{ domain: 'two.example', behaviour: accept() }] })).rejects.toMatchObject({ code: 'EADDRINUSE' });
        });
        await withFarm([{ domain: 'one.example', behaviour: accept() }], () => Promise.resolve());
    });
});

describe('external relay', () => {
    const ports = { starttls: 2587, tls: 2465 };
    const auth = { user: 'smart', pass: 'secret' };
    let folder: string;
    let authority: Authority;
    let relay: RelayServer;
    let ca: string;

    beforeAll(async () => {
        folder = await mkdtemp(join(tmpdir(), 'relay-'));
        authority = await makeAuthority(folder);
        ca = await readFile(authority.caFile, 'utf8');
        relay = await RelayServer.start({
            k,
            authority,
            user: auth.user,
            password: auth.pass,
            ports,
            refuses: to => (to.startsWith('never') ? { code: 550, lines: ['5.1.1 <' + to + '>: no such user here'] } : undefined)
        });
    });

    afterAll(async () => {
        await relay.stop();
        await rm(folder, { recursive: true });
    });

    function submit(values: Partial<Letter> = {}): Promise<string> {
        return send({
            host: relay.address,
            port: ports.starttls,
            to: 'm1@one.example',
            ignoreTLS: false,
            requireTLS: true,
            auth,
            tls: { ca, servername: relay.name },
            ...values
        });
    }

    it('takes mail over STARTTLS and over TLS from the start, by verified certificate and login', async () => {
        expect(await submit({ testId: 't1' })).toBe('250 OK: message queued');
        expect(await submit({ testId: 't2', port: ports.tls, secure: true, authMethod: 'LOGIN' })).toBe('250 OK: message queued');
        expect(relay.ledger.deliveries().map(({ messageId }) => messageId)).toEqual(['t1', 't2']);
        expect(relay.ledger.deliveries()).toMatchObject([{ client: source(1), to: 'm1@one.example', domain: 'relay.example' }, {}]);
    });

    it('is trusted by a process that was started with NODE_EXTRA_CA_CERTS', async () => {
        const script = `require('node:tls').connect({ host: '${relay.address}', port: ${ports.tls}, servername: '${relay.name}' }, function () { console.log(this.authorized); this.destroy(); })`;
        const { stdout } = await run(process.execPath, ['-e', script], { env: { ...process.env, NODE_EXTRA_CA_CERTS: authority.caFile } });
        expect(stdout.trim()).toBe('true');
    });

    it('refuses some recipients for good', async () => {
        expect(await submit({ to: 'never1@one.example' })).toBe('550 5.1.1 <never1@one.example>: no such user here');
        expect(relay.ledger.attempts({ to: 'never1@one.example' })).toMatchObject([{ stage: 'rcpt', code: 550, accepted: false }]);
    });

    it('takes nothing without a login, nor with a wrong one', async () => {
        expect(await submit({ auth: undefined })).toMatch(/^530 /);
        expect(await submit({ auth: { user: 'smart', pass: 'wrong' } })).toMatch(/^535 /);
        relay.refuseLogin = true;
        expect(await submit()).toMatch(/^535 /);
        relay.refuseLogin = false;
        expect(relay.ledger.attempts({ stage: 'auth', code: 535 })).toHaveLength(2);
    });

    it('can show the certificate of another name, on both ports', async () => {
        relay.showCertificate('wrong');
        expect(await submit()).toMatch(/altnames|Hostname/);
        expect(await submit({ port: ports.tls, secure: true })).toMatch(/altnames|Hostname/);
        relay.showCertificate('right');
        expect(await submit({ testId: 't3' })).toMatch(/^250/);
        expect(relay.ledger.deliveries({ messageId: 't1' })).toHaveLength(1);
    });

    it('notices a login in clear when STARTTLS is stripped', async () => {
        relay.offerStarttls(false);
        expect(await submit()).toBe('500 Error: command not recognized');
        expect(relay.loginsInClear).toBe(0);
        expect(await submit({ requireTLS: false, ignoreTLS: true })).toMatch(/^250/);
        expect(relay.loginsInClear).toBe(1);
        relay.offerStarttls(true);
        expect(await submit()).toMatch(/^250/);
    });

    it('can be away and come back, and have a second one beside it', async () => {
        await relay.away();
        expect(await submit()).toContain('ECONNREFUSED');
        await relay.back();
        expect(await submit()).toMatch(/^250/);
        const second = await RelayServer.start({ k, n: 2, name: 'relay2.example', authority, user: auth.user, password: auth.pass, ports });
        try {
            expect(await submit({ host: second.address, tls: { ca, servername: 'relay2.example' } })).toMatch(/^250/);
            expect(second.zones()).toEqual({ 'relay2.example': { A: [second.address] } });
        } finally {
            await second.stop();
        }
    });
});

describe("senders' mailbox", () => {
    it('takes letters for its domains only, and reads them', async () => {
        const sink = await Sink.start({ k, domains: ['ours.example'] });
        try {
            expect(await send({ host: sink.address, to: 'm1@elsewhere.example' })).toMatch(/^554 5\.7\.1 .*Relay access denied/);
            const letter = sink.waitFor(({ testId }) => testId === 't5', DEADLINE);
            expect(await send({ host: sink.address, from: '', to: 'author@ours.example', testId: 't5' })).toMatch(/^250/);
            expect(await letter).toMatchObject({ from: '', to: ['author@ours.example'], subject: 'hello', writer: 'other' });
            expect(sink.zones()['mail.ours.example']).toEqual({ A: [sink.address] });
        } finally {
            await sink.stop();
        }
    });
});
