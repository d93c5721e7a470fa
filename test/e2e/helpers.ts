/** What the stories share. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import nodemailer from 'nodemailer';
import { SENDER_DOMAIN, type World } from '../bed/world';

export interface Submission {
    to: string;
    from?: string;
    text?: string;
    testId?: string;
}

/** Submits to ZoneMTA directly; resolves with the reply, whatever it is. */
export async function submit(world: Pick<World, 'zonemta'>, { to, from = `user@${SENDER_DOMAIN}`, text = 'Hello', testId = to }: Submission): Promise<string> {
    const transport = nodemailer.createTransport({ host: world.zonemta.host, port: world.zonemta.port, ignoreTLS: true });
    try {
        const sent = await transport.sendMail({ from, to, subject: `Story ${testId}`, text, headers: { 'X-Test-Id': testId } });
        return sent.response;
    } catch (err) {
        return (err as { response?: string }).response ?? (err as Error).message;
    } finally {
        transport.close();
    }
}

/** Submits and gives the id of the queued message. */
export async function queue(world: Pick<World, 'zonemta'>, submission: Submission): Promise<string> {
    const reply = await submit(world, submission);
    const id = /queued as (\w+)/.exec(reply)?.[1];
    if (id === undefined) {
        throw new Error(`not queued: ${reply}`);
    }
    return id;
}

export interface MessageEvent {
    kind: string;
    verdict?: string;
    reason?: string;
    phase?: string;
    attempt?: { at: number; class: string; address: string; rule: string; code: number };
}

/** The trail of a message, as the API shows it. */
export async function trail(world: World, id: string): Promise<MessageEvent[]> {
    const { body } = await world.zonemta.api(`/plugin/smart-relay/messages/${id}`);
    return (body as { events?: MessageEvent[] }).events ?? [];
}

/** Throws a runtime switch through the API. */
export async function throwSwitch(world: World, name: 'reroute' | 'relay', on: boolean, provider?: string): Promise<void> {
    const { status, body } = await world.zonemta.api('/plugin/smart-relay/switches', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name, on, ...(provider === undefined ? {} : { provider }), note: 'test' })
    });
    if (status !== 200) {
        throw new Error(`switch: ${status} ${JSON.stringify(body)}`);
    }
}

/** Asks until it is so; fails after the deadline, naming what was waited for. */
export async function eventually(what: string, isSo: () => boolean | Promise<boolean>, deadlineMs: number): Promise<void> {
    const end = Date.now() + deadlineMs;
    while (!(await isSo())) {
        if (Date.now() > end) {
            throw new Error(`waited ${deadlineMs} ms in vain: ${what}`);
        }
        await new Promise(resolve => setTimeout(resolve, 100));
    }
}

/** Waits for a line in ZoneMTA's log. */
export async function logLine(world: World, pattern: RegExp, deadlineMs: number): Promise<string> {
    let found = '';
    await eventually(
        `a line like ${pattern}`,
        async () => {
            for await (const line of createInterface({ input: createReadStream(join(world.dir, 'zonemta', 'zone-mta.log')) })) {
                if (pattern.test(line)) {
                    found = line;
                    return true;
                }
            }
            return false;
        },
        deadlineMs
    );
    return found;
}
