/** One rspamd server over HTTP: its protocol (rspamd.com, "Rspamd protocol"), and nothing about the others. */
import { Pool } from 'undici';
import { oneLine } from '../delivery/state';
import type { Body } from '../zonemta/body';
import type { FailureKind } from './group';

/** What rspamd is told about the way the message came in. */
export interface ScanFacts {
    id: string;
    from: string;
    to: readonly string[];
    user?: string | undefined;
    ip?: string | undefined;
    helo?: string | undefined;
    hostname?: string | undefined;
    /** Name of this relay. */
    mta: string;
    tls?: { cipher: string; version: string } | undefined;
}

/** What rspamd is told by the settings. */
export interface RspamdRequest {
    password: string;
    settingsId: string;
    flags: readonly string[];
}

const MAX_ANSWER = 4 * 1024 * 1024;
const CONNECT_TIMEOUT = 2000;
const PING_TIMEOUT = 1000;
/** rspamd itself closes after each answer; a proxy in front of it does not. */
const KEEP_ALIVE = 4000;
const MAX_VALUE = 1000;

const UNREACHABLE = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT'];

/** A server and its connections. */
export class RspamdServer {
    private readonly pool: Pool;

    constructor(readonly url: string) {
        this.pool = new Pool(url, { connect: { timeout: CONNECT_TIMEOUT }, keepAliveTimeout: KEEP_ALIVE, headersTimeout: 0, bodyTimeout: 0 });
    }

    /**
     * Scans a message; the answer as it came, parsed.
     *
     * @throws Error for everything that is no JSON with status 200; its message has no secret in it
     */
    async check(request: RspamdRequest, facts: ScanFacts, body: Body, signal: AbortSignal): Promise<unknown> {
        const response = await this.pool.request({
            path: '/checkv2',
            method: 'POST',
            headers: [...headersFor(request, facts), 'content-length', String(body.size)],
            body: body.read() as Buffer,
            signal
        });
        // undici reports a body that is not read to its end as an error, which without a listener would end the process
        response.body.on('error', () => undefined);
        if (response.statusCode !== 200) {
            response.body.destroy();
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

    /** Is it there? Never rejects. */
    async ping(): Promise<boolean> {
        try {
            const { statusCode, body } = await this.pool.request({ path: '/ping', method: 'GET', signal: AbortSignal.timeout(PING_TIMEOUT) });
            await body.dump();
            return statusCode === 200;
        } catch {
            return false;
        }
    }

    async close(): Promise<void> {
        await this.pool.destroy();
    }
}

/** What kind of failure an error of `check` is. */
export function failureKind(err: unknown): FailureKind {
    const { code, errors } = err as { code?: unknown; errors?: unknown[] };
    // a name with several addresses: one error for each of them
    const codes = [code, ...(errors ?? []).map(each => (each as { code?: unknown }).code)];
    return codes.some(each => UNREACHABLE.includes(String(each))) ? 'unreachable' : 'broken';
}

/** Headers of a request. An address from outside may hold anything, even a line end. */
function headersFor({ password, settingsId, flags }: RspamdRequest, facts: ScanFacts): string[] {
    const pairs: [string, string | undefined][] = [
        ['content-type', 'message/rfc822'],
        ['queue-id', facts.id],
        // rspamd takes an absent sender for an unknown one, and <> for a bounce
        ['from', facts.from || '<>'],
        ...facts.to.map((rcpt): [string, string] => ['rcpt', rcpt]),
        ['user', facts.user],
        ['ip', facts.ip],
        ['helo', facts.helo],
        ['hostname', facts.hostname],
        ['mta-name', facts.mta],
        ['tls-cipher', facts.tls?.cipher],
        ['tls-version', facts.tls?.version],
        ['password', password],
        ['settings-id', settingsId],
        ['flags', flags.join(',')]
    ];
    // latin1 of the UTF-8 bytes: what undici sends on the wire is then UTF-8
    return pairs.flatMap(([name, value]) => (value ? [name, Buffer.from(oneLine(value, MAX_VALUE), 'utf8').toString('latin1')] : []));
}
