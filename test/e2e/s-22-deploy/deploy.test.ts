/** The filter group of deploy/rspamd at work: outbound mail through ZoneMTA and nginx, inbound mail through Postfix's milter. */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import nodemailer from 'nodemailer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BODIES } from '../../bed/demo/plan';
import { accept } from '../../bed/internet';
import type { Service } from '../../bed/services/process';
import { SENDER_DOMAIN, startWorld, type World } from '../../bed/world';
import { submit } from '../helpers';
import { addressOf, balancerUrl, CONTROLLER_PORT, startBalancer, startFilter, startInbound } from './group';

const DESTINATION = 'open.example';

let world: World;
let inbound: Service;
const started: Service[] = [];

async function kept<T extends Service>(starting: Promise<T>): Promise<T> {
    const service = await starting;
    started.push(service);
    return service;
}

beforeAll(async () => {
    const zone = { pool: 'default', port: 2525, connections: 3, processes: 1, ignoreIPv6: true };
    world = await startWorld({
        release: '3.10.3',
        destinations: () => [{ domain: DESTINATION, behaviour: accept() }],
        rspamds: 0,
        fakeScanners: host => [balancerUrl(Number(host.split('.')[1]))],
        keepMail: true,
        config: { zones: { default: zone, bounces: zone } },
        plugins: { 'random-ip': false, reputation: false, relay: false }
    });
    writeDkimKey();
    // the third server is not there: nginx and the milter's proxy have to do without it
    await Promise.all([kept(startFilter(world, 11)), kept(startFilter(world, 12))]);
    await kept(startBalancer(world, args => execFileSync('nginx', args, { stdio: 'pipe' })));
    inbound = await kept(startInbound(world, SENDER_DOMAIN));
});

afterAll(async () => {
    for (const service of started.reverse()) {
        await service.stop();
    }
    await world?.stop();
});

function writeDkimKey(): void {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } });
    mkdirSync(join(world.dir, 'dkim'));
    writeFileSync(join(world.dir, 'dkim', `${SENDER_DOMAIN}.relay.key`), privateKey);
}

/** Mail from outside to a mailbox; the reply to its final dot. */
async function receive(text: string, subject: string): Promise<string> {
    const transport = nodemailer.createTransport({ host: inbound.host, port: inbound.port, ignoreTLS: true });
    try {
        return (await transport.sendMail({ from: 'stranger@elsewhere.example', to: `kim@${SENDER_DOMAIN}`, subject, text })).response;
    } catch (err) {
        return (err as { response?: string }).response ?? (err as Error).message;
    } finally {
        transport.close();
    }
}

it('a clean message leaves through nginx, signed and with the score in its header', async () => {
    expect(await submit(world, { to: `kim@${DESTINATION}`, text: BODIES.clean })).toMatch(/^250 /);
    const { headers } = await world.farm.ledger.waitFor(({ accepted, to }) => accepted && to === `kim@${DESTINATION}`, 20_000, 'the clean message');
    expect(headers).toMatch(/^X-Spamd-Result: /m);
    expect(headers).toMatch(/^DKIM-Signature: .*(\r\n\s.*)*s=relay/m);
});

it.each([
    ['GTUBE', BODIES.gtube, /^550 5\.7\.1 Message refused: Gtube pattern$/],
    ['a virus', BODIES.eicar, /^550 5\.7\.1 Virus found: \S*EICAR-Test\S*$/i]
])('%s is refused at submission', async (_name, text, reply) => {
    expect(await submit(world, { to: `kim@${DESTINATION}`, text })).toMatch(reply);
});

it('what one server has learnt, the others know', async () => {
    const body = `From: a@elsewhere.example\r\nSubject: Pills\r\n\r\n${'cheap pills for you and all of your friends '.repeat(5)}\r\n`;
    const learn = async (n: number) => (await fetch(`http://${addressOf(world.k, n)}:${CONTROLLER_PORT}/learnspam`, { method: 'POST', body })).json();
    expect(await learn(11)).toEqual({ success: true });
    expect(((await learn(12)) as { error?: string }).error).toContain('already learned as spam');
});

it('inbound mail passes the milter, with the score in its header', async () => {
    expect(await receive(BODIES.clean, 'Inbound minutes')).toMatch(/^250 /);
    const { raw } = await world.sink.waitFor(mail => mail.raw.includes('Inbound minutes'), 20_000, 'the inbound message');
    expect(raw.toString()).toMatch(/^X-Spamd-Result: /m);
});

it('inbound GTUBE is refused by the milter', async () => {
    expect(await receive(BODIES.gtube, 'Inbound spam')).toMatch(/^554 5\.7\.1 Gtube pattern/);
});
