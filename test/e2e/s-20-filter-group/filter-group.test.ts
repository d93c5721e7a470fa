/**
 * The filter group under a steady load, while its servers are killed, frozen, and answer nonsense. Counted from outside: the
 * destination's ledger and the authors' mailbox. `npm run chaos:rspamd` is the long form.
 */
import { createServer } from 'node:http';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { accept, account, type Summary } from '../../bed/internet';
import { startWorld, type World } from '../../bed/world';
import { SMTP_PORT } from '../../bed/zonemta';
import { DESTINATIONS, Load } from './load';
import { receiverView, scanTimes } from './scans';

const LONG = process.env['CHAOS_MESSAGES'] !== undefined;
const MESSAGES = Number(process.env['CHAOS_MESSAGES'] ?? 0);
/** Messages a second at most, and how long each trouble lasts. */
const RATE = LONG ? 30 : 10;
const TROUBLE_MS = LONG ? 15_000 : 2500;
const FAKE_PORT = 11400;
const BACK_WITHIN_MS = 10_000;
const DONE_WITHIN_MS = LONG ? 1_200_000 : 100_000;

let world: World;
let load: Load;
const startedAt = Date.now();

beforeAll(async () => {
    const zone = { pool: 'default', port: 2525, connections: 20, processes: 1, ignoreIPv6: true };
    world = await startWorld({
        release: '3.10.3',
        destinations: () => DESTINATIONS.map(domain => ({ domain, behaviour: accept() })),
        rspamds: 3,
        fakeScanners: host => [`http://${host}:${FAKE_PORT}`],
        postfix: true,
        config: { zones: { default: zone, bounces: zone } },
        plugins: { 'random-ip': false, reputation: false, relay: false }
    });
    load = new Load(world, RATE);
    load.start();
});

afterAll(async () => {
    await load?.stop();
    await world?.stop();
});

/** The load goes on for a while: the trouble needs mail to bite. */
function under(ms = TROUBLE_MS): Promise<void> {
    return new Promise(resolve => setTimeout(resolve, ms));
}

/** All real servers take scans again, in every receiver. Resolves with the time that it took. */
async function allBack(): Promise<number> {
    const since = Date.now();
    await vi.waitFor(
        async () => {
            const views = await receiverView(world);
            expect(views.length).toBeGreaterThan(0);
            expect(views.flat().filter(({ url }) => !url.endsWith(`:${FAKE_PORT}`)).map(({ state }) => state)).toEqual(['up', 'up', 'up']);
        },
        { timeout: BACK_WITHIN_MS + 5000, interval: 200 }
    );
    return Date.now() - since;
}

/** The reply to a clean message's final dot, straight from ZoneMTA. */
function submit(): Promise<string> {
    const lines = ['EHLO probe.example', 'MAIL FROM:<probe@sender.example>', `RCPT TO:<probe@${DESTINATIONS[0]}>`, 'DATA', 'Subject: probe\r\n\r\nprobe\r\n.'];
    return new Promise((resolve, reject) => {
        let reply = '';
        const socket = net.connect({ host: world.host, port: SMTP_PORT });
        socket.setTimeout(30_000, () => socket.destroy(new Error(`no reply but ${reply} before ${lines.length} more lines`)));
        socket.on('error', reject).on('data', chunk => {
            reply += chunk.toString();
            if (!/^\d{3} [^]*\r\n$/m.test(reply)) {
                return;
            }
            const next = lines.shift();
            if (next === undefined) {
                socket.end('QUIT\r\n');
                return resolve(reply.trim());
            }
            reply = '';
            socket.write(`${next}\r\n`);
        });
    });
}

function say(line: string): void {
    console.log(`s-20: ${line}`);
}

describe('the filter group', () => {
    it('goes on with one server when two are killed, and has its load shared again after their return', async () => {
        await under();
        world.rspamds[0]?.kill('SIGKILL');
        await under();
        world.rspamds[1]?.kill('SIGKILL');
        await under();
        await Promise.all([world.restartRspamd(0), world.restartRspamd(1)]);
        const ms = await allBack();
        say(`two killed servers were back ${ms} ms after they had started again`);
        expect(ms).toBeLessThan(BACK_WITHIN_MS);
    });

    it('moves the scans of a server that is frozen', async () => {
        world.rspamds[2]?.kill('SIGSTOP');
        await under();
        await vi.waitFor(async () => expect((await receiverView(world)).flat()[2]?.ejections).toBeGreaterThan(0), { timeout: 20_000, interval: 200 });
        world.rspamds[2]?.kill('SIGCONT');
        const ms = await allBack();
        say(`a frozen server was back ${ms} ms after it was woken`);
        expect(ms).toBeLessThan(BACK_WITHIN_MS);
    });

    it('does not believe a server that answers pings, and scans with nonsense', async () => {
        let asked = 0;
        const fake = createServer((req, res) => {
            req.resume();
            res.end(req.url === '/ping' ? 'pong' : `<html>it works ${++asked}</html>`);
        });
        await new Promise<void>(resolve => fake.listen(FAKE_PORT, world.host, resolve));
        try {
            await vi.waitFor(() => expect(asked).toBeGreaterThan(0), 15_000);
            await under();
        } finally {
            await new Promise(resolve => fake.close(resolve).closeAllConnections());
        }
        say(`the fake was asked ${asked} times for a scan`);
    });

    it('refuses with 451 when all are away', async () => {
        if (LONG) {
            await vi.waitFor(() => expect(load.sent.length).toBeGreaterThan(MESSAGES), { timeout: DONE_WITHIN_MS, interval: 500 });
        }
        for (const service of world.rspamds) {
            service.kill('SIGKILL');
        }
        await vi.waitFor(async () => expect(await submit()).toMatch(/^451 4\.7\.1 /), 30_000);
        await under();
        expect(await submit()).toMatch(/^451 4\.7\.1 /);
        await vi.waitFor(async () => {
            const reasons = (await world.postfix?.queue() ?? []).flatMap(({ recipients }) => recipients.flatMap(({ delay_reason }) => delay_reason ?? []));
            expect(reasons.some(reason => reason.includes('451 4.7.1'))).toBe(true);
            expect(reasons.filter(reason => !reason.includes('451 4.7.1'))).toEqual([]);
        }, 10_000);
        await Promise.all(world.rspamds.map((_, index) => world.restartRspamd(index)));
        expect(await allBack()).toBeLessThan(BACK_WITHIN_MS);
        await load.stop();
    });

    it('in the end every clean message has arrived once, and no GTUBE and no EICAR', async () => {
        const summary = (): Summary => account({ sent: load.sent, farm: world.farm.ledger.attempts(), relay: [], sink: world.sink.mails.entries(), startedAt });
        await vi.waitFor(() => expect(summary().lost).toBe(0), { timeout: DONE_WITHIN_MS, interval: 500 });
        const { messages, delivered, rejectedSpam, rejectedVirus, rejectedClean, duplicated, faults } = summary();
        say(`${messages} messages: ${delivered} delivered, refused: ${rejectedSpam} GTUBE, ${rejectedVirus} EICAR, ${rejectedClean} clean; twice: ${duplicated}`);
        expect(faults).toEqual([]);
        expect(duplicated).toBe(0);
        expect(rejectedClean).toBe(0);
        expect(rejectedSpam + rejectedVirus).toBe(load.sent.filter(({ kind }) => kind !== 'clean').length);
        expect(delivered).toBe(messages - rejectedSpam - rejectedVirus);
    });

    it('the authors were told why', async () => {
        const letters = world.sink.mails.entries().map(({ raw }) => raw.toString());
        expect(letters.some(letter => /550 5\.7\.1 Virus found: \S*EICAR/i.test(letter))).toBe(true);
        expect(letters.some(letter => /550 5\.7\.1 Message refused: Gtube/i.test(letter.replace(/\r\n\s+/g, ' ')))).toBe(true);
    });

    it('the moved scans had their verdict within a second', async () => {
        const { straight, moved, servers } = await scanTimes(world);
        const show = ({ count, p50, p99, max }: typeof moved) => `${count} (p50 ${p50} ms, p99 ${p99} ms, max ${max} ms)`;
        say(`scans answered by the first server: ${show(straight)}, moved: ${show(moved)}`);
        say(`verdicts by server: ${Object.entries(servers).map(([url, count]) => `${url} ${count}`).join(', ')}`);
        expect(moved.count).toBeGreaterThan(0);
        // the scan itself takes its time on the second server as on the first
        expect(moved.max).toBeLessThan(1000 + straight.max);
    });
});
