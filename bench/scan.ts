/**
 * `npm run bench:scan`: what the filter group costs over the scans themselves, and how many messages a second ZoneMTA takes
 * with it and with its own core/rspamd, on the same rspamd servers.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { setTimeout as sleep } from 'node:timers/promises';
import Table from 'cli-table3';
import nodemailer from 'nodemailer';
import { Pool } from 'undici';
import { Scanner } from '../lib/scan/scanner';
import type { Body } from '../lib/zonemta/body';
import { BODIES } from '../test/bed/demo/plan';
import { accept } from '../test/bed/internet';
import { SENDER_DOMAIN, startWorld, type World } from '../test/bed/world';
import { SMTP_PORT } from '../test/bed/zonemta';

const IN_FLIGHT = 50;
const SCANS = 2000;
/** Few: the bed's database slows down with its queue, and that would be measured then. */
const MAILS = 60;
const CORE_PORT = 2527;
const LIMIT_MS = 20;
/** What a scan takes at the server that tells how long it took: from half of this to one and a half. */
const KNOWN_MS = 50;
const ROUNDS = 4;
const MESSAGE = Buffer.from(`From: a@${SENDER_DOMAIN}\r\nTo: b@open.example\r\nSubject: Minutes\r\n\r\n${BODIES.clean}`);
const BODY: Body = { size: MESSAGE.length, read: () => MESSAGE, dispose: async () => undefined };
const FACTS = { id: 'bench', from: `a@${SENDER_DOMAIN}`, to: ['b@open.example'], mta: 'bench.example' };

async function main(): Promise<number> {
    const smtp = (host: string, port: number) => ({ enabled: true, processes: 1, host, port, authentication: false, maxSize: 30_000_000, disableReverseLookup: true });
    const world = await startWorld({
        release: '3.10.3',
        destinations: () => [{ domain: 'open.example', behaviour: accept() }],
        rspamds: 3,
        plugins: { rspamd: { skip: { interfaces: ['core'] } }, 'random-ip': false, reputation: false, relay: false },
        config: host => ({
            smtpInterfaces: { feeder: smtp(host, SMTP_PORT), core: smtp(host, CORE_PORT) },
            plugins: { 'core/rspamd': { enabled: ['receiver'], url: `http://${host}:11333/check`, interfaces: ['core'], ignoreOrigins: [], maxSize: 5_242_880 } }
        })
    });
    try {
        const servers = [11333, 11334, 11335].map(port => `http://${world.host}:${port}`);
        const { direct, scanner } = await realScans(servers);
        const own = await knownScans();
        const table = new Table({ head: [`ms at ${IN_FLIGHT} in flight`, 'p50', 'p99'], style: { head: [], border: [] } });
        table.push(
            ['three rspamd, plain HTTP requests', shown(direct, 0.5), shown(direct, 0.99)],
            ['three rspamd, through the filter group', shown(scanner, 0.5), shown(scanner, 0.99)],
            [`the filter group's part of a scan of ${KNOWN_MS} ms`, shown(own, 0.5), shown(own, 0.99)]
        );
        console.log(table.toString());

        const rates = new Table({ head: ['messages a second through ZoneMTA', 'first', 'second'], style: { head: [], border: [] } });
        const ours = [await rate(world, SMTP_PORT)];
        const core = [await rate(world, CORE_PORT), await rate(world, CORE_PORT)];
        ours.push(await rate(world, SMTP_PORT));
        rates.push(['filter group (three servers)', ...ours.map(each => each.toFixed(1))], ['core/rspamd (the first of them)', ...core.map(each => each.toFixed(1))]);
        console.log(rates.toString());
        const good = rank(own, 0.99) < LIMIT_MS;
        console.log(`overhead of the filter group, p99: ${shown(own, 0.99)} ms, limit ${LIMIT_MS} ms: ${good ? 'kept' : 'NOT KEPT'}`);
        return good ? 0 : 1;
    } finally {
        await world.stop();
    }
}

/** Times of plain requests and of scans through the group, by turns. */
async function realScans(servers: readonly string[]): Promise<{ direct: number[]; scanner: number[] }> {
    const pools = servers.map(url => new Pool(url));
    let turn = 0;
    const plain = async () => {
        const { body } = await (pools[turn++ % pools.length] as Pool).request({ path: '/checkv2', method: 'POST', body: MESSAGE, headers: { from: FACTS.from, rcpt: 'b@open.example' } });
        await body.json();
    };
    const group = groupOf(servers);
    const through = async () => void (await group.scan(FACTS, BODY));
    const direct: number[] = [];
    const scanner: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
        direct.push(...(await many(plain, SCANS / ROUNDS)));
        scanner.push(...(await many(through, SCANS / ROUNDS)));
    }
    await group.close();
    await Promise.all(pools.map(pool => pool.destroy()));
    return { direct, scanner };
}

/** The group's own part, against a server that says as the score how long it took. */
async function knownScans(): Promise<number[]> {
    const server = new Worker(__filename);
    const [port] = (await once(server, 'message')) as [number];
    const group = groupOf([`http://127.0.0.1:${port}`]);
    const own: number[] = [];
    const scan = async () => {
        const started = performance.now();
        const { answer } = await group.scan(FACTS, BODY);
        own.push(performance.now() - started - answer.score);
    };
    await many(scan, SCANS / ROUNDS);
    own.length = 0;
    await many(scan, SCANS);
    await group.close();
    await server.terminate();
    return own;
}

/** The server of `knownScans`, in a thread of its own. */
function serveKnownScans(): void {
    const server = createServer((req, res) => {
        const started = performance.now();
        const ms = KNOWN_MS * (0.5 + Math.random());
        req.resume().on('end', () => setTimeout(() => res.end(JSON.stringify({ action: 'no action', score: performance.now() - started })), ms));
    });
    server.listen(0, '127.0.0.1', () => parentPort?.postMessage((server.address() as AddressInfo).port));
}

function groupOf(servers: readonly string[]): Scanner {
    return new Scanner({ servers, weights: {}, password: '', settingsId: '', flags: [], timeout: 30_000 }, { ejected: () => undefined, returned: () => undefined }, Date.now, Math.random);
}

/** Runs something `count` times, IN_FLIGHT at once; the time of each. */
async function many(run: () => Promise<void>, count: number): Promise<number[]> {
    const times: number[] = [];
    let left = count;
    await Promise.all(
        Array.from({ length: IN_FLIGHT }, async () => {
            while (left-- > 0) {
                const started = performance.now();
                await run();
                times.push(performance.now() - started);
            }
        })
    );
    return times;
}

async function rate(world: World, port: number): Promise<number> {
    const transport = nodemailer.createTransport({ host: world.host, port, ignoreTLS: true, pool: true, maxConnections: IN_FLIGHT, maxMessages: Infinity });
    const started = Date.now();
    // the bed's database is locked now and then, and ZoneMTA puts that message off
    const sent = await Promise.allSettled(
        Array.from({ length: MAILS }, (_, n) => transport.sendMail({ from: `a@${SENDER_DOMAIN}`, to: `m${port}-${n}@open.example`, subject: 'Minutes', text: BODIES.clean }))
    );
    const seconds = (Date.now() - started) / 1000;
    transport.close();
    await drained(world);
    return sent.filter(({ status }) => status === 'fulfilled').length / seconds;
}

/** Deliveries of one measurement must not slow down the next one. */
async function drained(world: World): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
        const { active, deferred } = (await world.zonemta.api('/counter/zone/default')).body as { active?: { rows?: number }; deferred?: { rows?: number } };
        if ((active?.rows ?? 0) + (deferred?.rows ?? 0) === 0) {
            return;
        }
        await sleep(200);
    }
}

function rank(values: readonly number[], share: number): number {
    const sorted = [...values].sort((one, other) => one - other);
    return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

function shown(values: readonly number[], share: number): string {
    return rank(values, share).toFixed(1);
}

if (isMainThread) {
    void main().then(code => process.exit(code));
} else {
    serveKnownScans();
}
