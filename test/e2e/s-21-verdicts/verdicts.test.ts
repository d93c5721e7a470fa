/** What rspamd says of a message is what happens to it, byte for byte, seen from the submitting server and from the MX. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dkimVerify } from 'mailauth/lib/dkim/verify';
import nodemailer, { type SendMailOptions } from 'nodemailer';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { BODIES } from '../../bed/demo/plan';
import { accept, type LedgerEntry } from '../../bed/internet';
import { SENDER_DOMAIN, startWorld, type World } from '../../bed/world';
import { SMTP_PORT } from '../../bed/zonemta';

const DESTINATION = 'open.example';
const SELECTOR = 's21';
const MIB = 1024 * 1024;

let world: World;
let dir: string;
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'der' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } });

beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 's-21-'));
    const keyFile = join(dir, 'dkim.key');
    writeFileSync(keyFile, privateKey);
    const zone = { pool: 'default', port: 2525, connections: 3, processes: 1, ignoreIPv6: true };
    world = await startWorld({
        release: '3.10.3',
        destinations: () => [{ domain: DESTINATION, behaviour: accept() }],
        rspamd: { sign: { domain: SENDER_DOMAIN, selector: SELECTOR, keyFile } },
        keepMail: true,
        config: { zones: { default: zone, suspect: zone, bounces: zone } },
        plugins: {
            rspamd: { maxSize: '5MiB', actions: { 'add header': 'zone:suspect' }, skip: { nullSender: true }, overrides: [{ sender: `reviewed@${SENDER_DOMAIN}`, actions: { reject: 'tempfail' } }] },
            'random-ip': false,
            reputation: false,
            relay: false
        }
    });
});

afterAll(async () => {
    await world?.stop();
    rmSync(dir, { recursive: true, force: true });
});

let count = 0;

/** Submits to ZoneMTA; the reply to the final dot, or the refusal. */
async function submit(options: SendMailOptions): Promise<{ reply: string; to: string }> {
    const to = `m${++count}@${DESTINATION}`;
    const transport = nodemailer.createTransport({ host: world.host, port: SMTP_PORT, ignoreTLS: true });
    try {
        const { response } = await transport.sendMail({ from: `author@${SENDER_DOMAIN}`, to, subject: 'Minutes', text: BODIES.clean, ...options });
        return { reply: response, to };
    } catch (err) {
        return { reply: (err as { response?: string }).response ?? (err as Error).message, to };
    } finally {
        transport.close();
    }
}

function arrived(to: string): Promise<LedgerEntry> {
    return world.farm.ledger.waitFor(entry => entry.accepted && entry.to === to, 20_000, `mail to ${to}`);
}

async function signaturesOf(entry: LedgerEntry): Promise<string[]> {
    const resolver = async (name: string) => {
        expect(name).toBe(`${SELECTOR}._domainkey.${SENDER_DOMAIN}`);
        return [[`v=DKIM1; k=rsa; p=${publicKey.toString('base64')}`]];
    };
    const { results } = await dkimVerify(entry.raw as Buffer, { resolver });
    return results.map(({ status, signingDomain }) => `${status.result} ${signingDomain}`);
}

it("rspamd's DKIM signature verifies at the MX", async () => {
    const { to } = await submit({ subject: 'Grüße aus dem Büro, mit einer Betreffzeile, die so lang ist, dass sie umgebrochen werden muss' });
    expect(await signaturesOf(await arrived(to))).toEqual([`pass ${SENDER_DOMAIN}`]);
});

it('so does that of a message which is too large for memory', async () => {
    const { to } = await submit({ attachments: [{ filename: 'noise.bin', content: randomBytes(2 * MIB) }] });
    const entry = await arrived(to);
    expect(entry.raw?.length).toBeGreaterThan(2 * MIB);
    expect(await signaturesOf(entry)).toEqual([`pass ${SENDER_DOMAIN}`]);
});

it("rspamd's headers are at the MX, and a forged one is gone", async () => {
    const { to } = await submit({ headers: { 'X-Spamd-Result': 'default: False [-100.00 / 15.00]', 'X-Rspamd-Action': 'no action, believe me' } });
    const { headers = '' } = await arrived(to);
    expect(headers.match(/^X-Spamd-Result: .*(\r\n\s.*)*/gim)).toEqual([expect.stringMatching(/^X-Spamd-Result: default: False \[0\.00 \/ 15\.00\];\r\n\tDKIM_SIGNED/)]);
    expect(headers.match(/^X-Rspamd-Action: .*/gim)).toEqual(['X-Rspamd-Action: no action']);
});

it('labelled spam does not leave from the good pool', async () => {
    const { to, reply } = await submit({ text: BODIES.gtube.replace(/^X/, 'Y') });
    expect(reply).toMatch(/^250 /);
    await arrived(to);
    await vi.waitFor(() => {
        const lines = readFileSync(world.zonemta.logFile, 'utf8').split('\n');
        expect(lines.filter(line => line.includes(' ACCEPTED ') && line.includes(`to=${to} `)).map(line => /Sender\/(\w+)/.exec(line)?.[1])).toEqual(['suspect']);
    }, 5000);
});

it.each([
    ['GTUBE', { text: BODIES.gtube }, /^550 5\.7\.1 Message refused: Gtube pattern$/],
    ['GTUBE of a sender with actions of its own', { from: `Reviewed@${SENDER_DOMAIN}`, text: BODIES.gtube }, /^451 4\.7\.1 Gtube pattern$/],
    ['a virus', { text: BODIES.eicar }, /^550 5\.7\.1 Virus found: \S*EICAR-Test\S*$/i],
    ['what rspamd wants later', { headers: { 'X-Bed-Soft-Reject': 'Too much mail from you' } }, /^451 4\.7\.1 Too much mail from you$/],
    ['what is too large to be scanned', { attachments: [{ filename: 'noise.bin', content: randomBytes(4 * MIB) }] }, /^552 5\.3\.4 Message is too large to be scanned$/]
])('%s is refused, with the reason', async (_name, options, reply) => {
    expect((await submit(options)).reply).toMatch(reply);
});

it('a bounce is not scanned where the settings say so, and its history says that', async () => {
    const { to, reply } = await submit({ envelope: { from: '', to: `m${count + 1}@${DESTINATION}` }, text: BODIES.gtube });
    const { headers = '' } = await arrived(to);
    expect(headers).not.toContain('X-Spamd-Result');
    expect((await eventsOf(reply))[0]).toMatchObject({ kind: 'scan', result: 'skipped', tried: [] });
});

it('the history has the server, the verdict and what weighed', async () => {
    const { reply } = await submit({ text: BODIES.gtube.replace(/^X/, 'Z') });
    const url = `http://${world.host}:11333`;
    expect((await eventsOf(reply))[0]).toMatchObject({ kind: 'scan', result: 'accept', action: 'rewrite subject', server: url, tried: [url] });
});

async function eventsOf(reply: string): Promise<Record<string, unknown>[]> {
    const id = /queued as (\w+)/.exec(reply)?.[1] ?? '';
    const { body } = await world.zonemta.api(`/plugin/smart-relay/messages/${id}`);
    return (body as { events: Record<string, unknown>[] }).events;
}
