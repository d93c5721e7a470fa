/** Plays the demo's letters in a world, and counts what became of them. */
import { SingleBar } from 'cli-progress';
import nodemailer from 'nodemailer';
import { account, tellStories, type Books, type SentMessage } from '../internet';
import type { World } from '../world';
import { letters, type Letter } from './plan';
import type { Run } from './report';

/** The longest that everything may take after the last message was submitted. */
const PATIENCE_MS = 6 * 60_000;
/** A message that is done stays done; this long it is watched for a second delivery or notice. */
const AFTERWARDS_MS = 3000;
const TICK_MS = 500;

export interface PlayOptions {
    messages: number;
    seed: number;
    /** Shows a progress bar. */
    progress: boolean;
}

/** Submits all letters through Postfix, and waits until each has come to an end and the queue is empty. */
export async function play(world: World, { messages, seed, progress }: PlayOptions): Promise<Run> {
    const startedAt = Date.now();
    const sent: SentMessage[] = [];
    const books = (): Books => ({ sent, farm: world.farm.ledger.attempts(), relay: world.relay.ledger.attempts(), sink: world.sink.mails.entries(), startedAt });
    const bar = new SingleBar({ format: '{bar} {value}/{total} done, {sent} sent, {duration_formatted}', noTTYOutput: true, notTTYSchedule: 10_000 });
    if (progress) {
        bar.start(messages, 0, { sent: 0 });
    }
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
    return { ...account(books()), zonemta: world.zonemta.release, mongo: world.mongo.kind, ipv6: world.pool.ipv6.length > 0, seed };
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
