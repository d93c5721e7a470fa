/** Asks a group of rspamd servers about a message: the next one when one does not answer, all of them within one time. */
import { request } from 'undici';
import { oneLine } from '../delivery/state';
import type { ScanAction } from '../settings/rspamd';
import { interpret, type ScanVerdict } from './verdict';

export interface ScanSettings {
    servers: readonly string[];
    password: string;
    /** For all tries together, ms. */
    timeout: number;
    actions: Readonly<Record<string, ScanAction>>;
    settingsId: string;
}

/** What rspamd is told about the way the message came in. */
export interface ScanFacts {
    id: string;
    from: string;
    to: readonly string[];
    user?: string | undefined;
    ip?: string | undefined;
    helo?: string | undefined;
    hostname?: string | undefined;
}

export interface ScanResult {
    verdict: ScanVerdict;
    server: string;
    ms: number;
}

/** No server gave a verdict. */
export class ScanUnavailable extends Error {
    override name = 'ScanUnavailable';
}

const MAX_ANSWER = 4 * 1024 * 1024;

/**
 * Scans a message.
 *
 * @throws ScanUnavailable when no server gave a verdict in time; its message says what each one did, without secrets
 */
export async function scan(settings: ScanSettings, facts: ScanFacts, body: Buffer, now: () => number, random: () => number): Promise<ScanResult> {
    const started = now();
    const first = Math.floor(random() * settings.servers.length);
    const order = [...settings.servers.slice(first), ...settings.servers.slice(0, first)];
    const failures: string[] = [];
    for (const [tried, server] of order.entries()) {
        const left = started + settings.timeout - now();
        if (left <= 0) {
            break;
        }
        try {
            // a server that hangs must leave time for the others
            const share = Math.ceil(left / (order.length - tried));
            const verdict = interpret(await ask(server, settings, facts, body, share), settings.actions);
            return { verdict, server, ms: now() - started };
        } catch (err) {
            failures.push(`${server}: ${oneLine((err as Error).message, 200)}`);
        }
    }
    throw new ScanUnavailable(failures.join('; ') || 'no time left');
}

async function ask(server: string, settings: ScanSettings, facts: ScanFacts, body: Buffer, timeout: number): Promise<unknown> {
    const response = await request(new URL('/checkv2', server), {
        method: 'POST',
        body,
        headers: headersFor(settings, facts),
        signal: AbortSignal.timeout(timeout)
    });
    if (response.statusCode !== 200) {
        // destroyed unread it emits an AbortError, which would end the process if nobody listened
        response.body.on('error', () => undefined).destroy();
        throw new Error(`HTTP ${response.statusCode}`);
    }
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > MAX_ANSWER) {
            throw new Error('the answer does not end');
        }
        chunks.push(chunk);
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

/** Headers of rspamd's protocol (its "protocol" page). An address from outside may hold anything but a line end. */
function headersFor(settings: ScanSettings, facts: ScanFacts): string[] {
    const pairs: [string, string | undefined][] = [
        ['content-type', 'message/rfc822'],
        ['queue-id', facts.id],
        ['from', facts.from],
        ...facts.to.map((rcpt): [string, string] => ['rcpt', rcpt]),
        ['user', facts.user],
        ['ip', facts.ip],
        ['helo', facts.helo],
        ['hostname', facts.hostname],
        ['password', settings.password],
        ['settings-id', settings.settingsId]
    ];
    // latin1 of the UTF-8 bytes: what undici sends on the wire is then UTF-8
    return pairs.flatMap(([name, value]) => (value ? [name, Buffer.from(oneLine(value, 1000), 'utf8').toString('latin1')] : []));
}
