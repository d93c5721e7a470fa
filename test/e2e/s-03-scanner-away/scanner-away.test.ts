/** rspamd goes away and comes back: the mailbox server keeps the mail meanwhile, and not one message slips by unscanned. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import nodemailer from 'nodemailer';
import { accept } from '../../bed/internet';
import { startRspamd } from '../../bed/services/rspamd';
import { startWorld, type World } from '../../bed/world';
import { eventually, submit } from '../helpers';

const GTUBE = ['XJS*C4JDBQADN1.NSBN3*2IDNEN', 'GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL', 'C.34X'].join('*');

let world: World;

beforeAll(async () => {
    world = await startWorld({ release: '3.10.3', destinations: () => [{ domain: 'open.example', behaviour: accept() }], rspamds: 2, postfix: true });
});
afterAll(async () => world?.stop());

it('refuses GTUBE over SMTP with the reason, and takes clean mail', async () => {
    expect(await submit(world, { to: 'spam@open.example', text: GTUBE })).toMatch(/^550 5\.7\.1 .*Gtube pattern/i);
    expect(await submit(world, { to: 'clean@open.example' })).toMatch(/^250 /);
});

it('refuses GTUBE over HTTP, where a scanner in the receiver alone would see nothing', async () => {
    const send = (text: string) =>
        world.zonemta.api('/send', {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ from: 'user@sender.example', to: 'http@open.example', subject: 'x', text })
        });
    expect(await send(GTUBE)).toMatchObject({ status: 500, body: { error: expect.stringMatching(/Gtube pattern/i) as string } });
    expect(await send('Hello')).toMatchObject({ status: 200, body: { id: expect.any(String) as string } });
});

it('moves to the next server when one is killed', async () => {
    world.rspamds[0]?.kill('SIGKILL');
    expect(await submit(world, { to: 'one-left@open.example' })).toMatch(/^250 /);
    expect(await submit(world, { to: 'spam2@open.example', text: GTUBE })).toMatch(/^550 /);
});

it('answers 451 when all are away; Postfix keeps the mail and it arrives once when they are back', async () => {
    world.rspamds[1]?.kill('SIGKILL');
    await eventually('both are gone', async () => /^451 4\.7\.1 /.test(await submit(world, { to: 'probe@open.example' })), 15_000);
    const transport = nodemailer.createTransport({ host: world.postfix?.host ?? '', port: world.postfix?.port ?? 0, ignoreTLS: true });
    await transport.sendMail({ from: 'user@sender.example', to: 'kept@open.example', subject: 'x', text: 'Hello', headers: { 'X-Test-Id': 'kept' } });
    transport.close();
    await eventually('Postfix keeps it', async () => ((await world.postfix?.queue()) ?? []).some(mail => mail.recipients.some(to => /451/.test(to.delay_reason ?? ''))), 30_000);
    expect(world.farm.ledger.deliveries({ to: 'kept@open.example' })).toHaveLength(0);

    const back = await startRspamd({ host: world.host, dir: world.dir, port: 11333, nameserver: `${world.dns.address}:5355`, redis: `${world.host}:6379`, clamd: `${world.host}:3310` });
    try {
        await world.postfix?.flush();
        await world.farm.ledger.waitFor(entry => entry.accepted && entry.to === 'kept@open.example', 60_000, 'the kept mail');
        expect(world.farm.ledger.deliveries({ to: 'kept@open.example' })).toHaveLength(1);
        expect(world.sink.mails.entries()).toHaveLength(0);
    } finally {
        await back.stop();
    }
});
