/** `npm run demo`: the whole way of some hundred messages, counted from outside. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import nodemailer from 'nodemailer';
import { destinations, letters, relayRefuses, type Letter } from './demo/plan';
import { isGood, report, type Run } from './demo/report';
import { account, tellStories, type Books, type SentMessage } from './internet';
import { startWorld, type World } from './world';
import { API_PORT, RELEASES, type Release } from './zonemta';

const USAGE = `usage: npm run demo -- [--messages N] [--json FILE] [--zonemta ${RELEASES.join('|')}] [--seed N] [--keep]`;

/** The longest that everything may take after the last message was submitted. */
const PATIENCE_MS = 6 * 60_000;
/** A message that is done stays done; this long it is watched for a second delivery or notice. */
const AFTERWARDS_MS = 3000;
const TICK_MS = 500;

interface Options {
    messages: number;
    json: string | undefined;
    release: Release;
    seed: number;
    keep: boolean;
}

async function main(): Promise<number> {
    const options = readOptions();
    if (!options) {
        console.error(USAGE);
        return 2;
    }
    let world: World | undefined;
    const interrupted = new Promise<never>((_, reject) => {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) {
            process.once(signal, () => reject(new Error(`ended by ${signal}`)));
        }
    });
    try {
        const starting = startWorld({
            release: options.release,
            destinations: pool => destinations(pool, options.seed),
            relayRefuses,
            rspamds: 2,
            postfix: true,
            keep: options.keep,
            say: line => console.log(line)
        });
        // an interrupt while things are starting must stop what comes after it
        world = await Promise.race([starting, interrupted]).catch(async (err: Error) => {
            await starting.then(late => late.stop(), () => undefined);
            throw err;
        });
        const run = await Promise.race([play(world, options), interrupted]);
        console.log(report(run));
        if (options.json) {
            writeFileSync(options.json, `${JSON.stringify(run, null, 2)}\n`);
        }
        if (options.keep) {
            console.log(lookAround(world));
            await interrupted.catch(() => undefined);
        }
        return isGood(run) ? 0 : 1;
    } catch (err) {
        console.error((err as Error).message);
        return 1;
    } finally {
        await world?.stop();
    }
}

async function play(world: World, { messages, seed, release }: Options): Promise<Run> {
    const startedAt = Date.now();
    const sent: SentMessage[] = [];
    const books = (): Books => ({ sent, farm: world.farm.ledger.attempts(), relay: world.relay.ledger.attempts(), sink: world.sink.mails.entries(), startedAt });
    const bar = new SingleBar({ format: '{bar} {value}/{total} done, {sent} sent, {duration_formatted}', noTTYOutput: true, notTTYSchedule: 10_000 });
    bar.start(messages, 0, { sent: 0 });
    const show = () => {
        const done = tellStories(books()).filter(story => story.outcomes.length > 0).length;
        bar.update(done, { sent: sent.length });
        return done;
    };
    const ticking = setInterval(show, TICK_MS);
    try {
        await submit(world, letters(messages, seed), sent);
        const deadline = Date.now() + PATIENCE_MS;
        await until(() => show() >= messages, deadline);
        await until(async () => (await queued(world)) === 0, deadline);
        await until(() => false, Date.now() + AFTERWARDS_MS);
    } finally {
        clearInterval(ticking);
        bar.stop();
    }
    return { ...account(books()), zonemta: release, mongo: world.mongo.kind, ipv6: world.pool.ipv6.length > 0, seed };
}

/** Hands the letters to Postfix, as the users' mail programs would. */
async function submit(world: World, all: readonly Letter[], sent: SentMessage[]): Promise<void> {
    if (!world.postfix) {
        throw new Error('the demo needs Postfix');
    }
    const transport = nodemailer.createTransport({ host: world.postfix.host, port: world.postfix.port, ignoreTLS: true, pool: true, maxConnections: 4 });
    try {
        await Promise.all(
            all.map(async ({ message, body }) => {
                await transport.sendMail({ from: message.from, to: message.to, subject: `Minutes ${message.testId}`, text: body, headers: { 'X-Test-Id': message.testId } });
                sent.push({ ...message, at: Date.now() });
            })
        );
    } finally {
        transport.close();
    }
}

/** Deliveries that ZoneMTA still holds. */
async function queued(world: World): Promise<number> {
    const zones = ['default', 'bounces', 'relay'];
    const counts = await Promise.all(zones.map(async zone => (await world.zonemta.api(`/counter/zone/${zone}`)).body as { active?: { rows?: number }; deferred?: { rows?: number } }));
    return counts.reduce((sum, { active, deferred }) => sum + (active?.rows ?? 0) + (deferred?.rows ?? 0), 0);
}

/** Looks now and then until it is so, or the deadline has passed: the account says then what is missing. */
async function until(isSo: () => boolean | Promise<boolean>, deadline: number): Promise<void> {
    while (!(await isSo()) && Date.now() < deadline) {
        await new Promise(resolve => setTimeout(resolve, TICK_MS));
    }
}

function lookAround(world: World): string {
    const api = `http://${world.host}:${API_PORT}/plugin/smart-relay`;
    return [
        '',
        `status:     curl ${api}/status`,
        `a message:  curl ${api}/messages/ID`,
        `submission: ${world.postfix?.host}:${world.postfix?.port} (Postfix), ${world.zonemta.host}:${world.zonemta.port} (ZoneMTA)`,
        `MongoDB:    ${world.mongo.url}`,
        `folder:     ${world.dir}`,
        'Ctrl-C stops it all.'
    ].join('\n');
}

function readOptions(): Options | undefined {
    try {
        const { values } = parseArgs({
            options: { messages: { type: 'string', default: '300' }, json: { type: 'string' }, zonemta: { type: 'string', default: '3.10.3' }, seed: { type: 'string', default: '1' }, keep: { type: 'boolean', default: false } }
        });
        const messages = Number(values.messages);
        const seed = Number(values.seed);
        const release = RELEASES.find(known => known === values.zonemta);
        const usable = Number.isInteger(messages) && messages >= 20 && messages <= 100_000 && Number.isInteger(seed);
        return release && usable ? { messages, json: values.json, release, seed, keep: values.keep } : undefined;
    } catch {
        return undefined;
    }
}

void main().then(code => process.exit(code));
