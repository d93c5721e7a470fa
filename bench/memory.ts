/** `npm run bench:memory`: what 50 messages of 20 MiB at once do to the memory of the receiver, with and without the scan. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import nodemailer from 'nodemailer';
import { accept } from '../test/bed/internet';
import { SENDER_DOMAIN, startWorld, type World } from '../test/bed/world';
import { SMTP_PORT } from '../test/bed/zonemta';

const MESSAGES = 50;
const MIB = 1024 * 1024;
const SIZE = 20 * MIB;
const LIMIT = 400 * MIB;
const FAKE_PORT = 11400;
const SAMPLE_MS = 50;
/** The bed's database needs minutes for a gigabyte. */
const TIMEOUT_MS = 600_000;

interface Result {
    idle: number;
    peak: number;
    accepted: number;
    seconds: number;
}

async function main(): Promise<number> {
    const show = ({ idle, peak, accepted, seconds }: Result) => `idle ${mib(idle)}, peak ${mib(peak)}, growth ${mib(peak - idle)} (${accepted} accepted in ${seconds.toFixed(0)} s)`;
    console.log(`receiver, ${MESSAGES} messages of ${mib(SIZE)} at once`);
    const withScan = await measure(true);
    console.log(`  with the scan:    ${show(withScan)}`);
    console.log(`  without the scan: ${show(await measure(false))}`);
    const good = withScan.peak - withScan.idle < LIMIT && withScan.accepted === MESSAGES;
    console.log(`  limit of the growth: ${mib(LIMIT)}: ${good ? 'kept' : 'NOT KEPT'}`);
    return good ? 0 : 1;
}

async function measure(scan: boolean): Promise<Result> {
    let scanner: Server | undefined;
    const world = await startWorld({
        release: '3.10.3',
        destinations: () => [{ domain: 'open.example', behaviour: accept() }],
        rspamds: 0,
        fakeScanners: host => [`http://${host}:${FAKE_PORT}`],
        plugins: { rspamd: scan ? { timeout: '2m' } : false, reputation: false, relay: false }
    });
    try {
        scanner = await serveScans(world.host);
        return await flood(world);
    } finally {
        scanner?.close();
        await world.stop();
    }
}

/** Reads a message, waits as a scan would, and calls it clean: fifty large scans at once are not what is measured here. */
async function serveScans(host: string): Promise<Server> {
    const server = createServer((req, res) => {
        req.resume().on('end', () => setTimeout(() => res.end(JSON.stringify({ action: 'no action', score: 0 })), 1000));
    });
    await new Promise<void>(resolve => server.listen(FAKE_PORT, host, resolve));
    return server;
}

async function flood(world: World): Promise<Result> {
    const receiver = await receiverPid(world);
    const idle = residentOf(receiver);
    const noise = Buffer.from(`Subject: large\r\n\r\n${randomBytes((SIZE / 78) * 57).toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`);
    let peak = idle;
    const sampling = setInterval(() => (peak = Math.max(peak, residentOf(receiver))), SAMPLE_MS);
    const started = Date.now();
    try {
        const replies = await Promise.all(Array.from({ length: MESSAGES }, (_, n) => submit(world, noise, n)));
        const refused = replies.filter(reply => !reply.startsWith('250'));
        if (refused.length > 0) {
            console.log(`refused: ${[...new Set(refused)].join('; ')}`);
        }
        return { idle, peak, accepted: replies.length - refused.length, seconds: (Date.now() - started) / 1000 };
    } finally {
        clearInterval(sampling);
    }
}

async function submit(world: World, raw: Buffer, n: number): Promise<string> {
    const transport = nodemailer.createTransport({ host: world.host, port: SMTP_PORT, ignoreTLS: true, socketTimeout: TIMEOUT_MS });
    try {
        return (await transport.sendMail({ envelope: { from: `a@${SENDER_DOMAIN}`, to: `m${n}@open.example` }, raw })).response;
    } catch (err) {
        return (err as { response?: string }).response ?? (err as Error).message;
    } finally {
        transport.close();
    }
}

async function receiverPid(world: World): Promise<number> {
    for (let tries = 0; tries < 50; tries++) {
        const { body } = await world.zonemta.api('/plugin/smart-relay/status');
        const receiver = (body as { processes?: { process: string }[] }).processes?.find(({ process }) => process.startsWith('receiver:'));
        if (receiver) {
            return Number(receiver.process.split(':').at(-1));
        }
        await sleep(100);
    }
    throw new Error('no receiver says that it is there');
}

function residentOf(pid: number): number {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
}

function mib(bytes: number): string {
    return `${Math.round(bytes / MIB)} MiB`;
}

void main().then(code => process.exit(code));
