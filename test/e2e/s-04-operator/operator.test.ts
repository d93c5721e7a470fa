/** What the operator can see and do while it runs: the trail of a message, and the switches. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { refuseAll, refuseShare, REPLIES } from '../../bed/internet';
import { startWorld, type World } from '../../bed/world';
import { eventually, queue, throwSwitch, trail } from '../helpers';

/** The world's schedule begins with 4 s; a reroute takes at most about 2. */
const SCHEDULED_MS = 3500;

let world: World;

beforeAll(async () => {
    world = await startWorld({
        release: '3.10.3',
        // everybody but the second subnet is refused: the first try most likely, the second one never
        destinations: pool => [
            { domain: 'half.example', behaviour: refuseShare(client => !pool.ipv4.slice(256).includes(client), 'rcpt', REPLIES.spamhaus) },
            { domain: 'refused.example', behaviour: refuseAll('rcpt', REPLIES.spamhaus) },
            { domain: 'refused-too.example', behaviour: refuseAll('rcpt', REPLIES.spamhaus) }
        ],
        plugins: { rspamd: false, reputation: { delays: ['0s', '500ms'] } }
    });
});
afterAll(async () => world?.stop());

it('shows the trail of a message: what was tried from where, why, and what was decided', async () => {
    const id = await queue(world, { to: 'trail@refused.example' });
    await world.relay.ledger.waitFor(entry => entry.accepted && entry.to === 'trail@refused.example', 60_000, 'the relayed message');
    await eventually('the end is on record', async () => (await trail(world, id)).some(event => event.kind === 'delivered'), 10_000);
    const events = await trail(world, id);
    const attempts = events.filter(event => event.kind === 'attempt');
    expect(attempts.map(event => event.verdict)).toEqual(['reroute', 'reroute', 'reroute', 'reroute', 'relay']);
    expect(new Set(attempts.map(event => event.attempt?.address)).size).toBe(5);
    expect(attempts.every(event => event.attempt?.class === 'ip-reputation')).toBe(true);
    expect(events.at(-1)).toMatchObject({ kind: 'delivered', phase: 'relay' });
    expect((await world.zonemta.api('/plugin/smart-relay/messages/0000')).status).toBe(404);
});

it('stops rerouting for one provider within two seconds: its refusals follow the schedule, others are rerouted on', async () => {
    await throwSwitch(world, 'reroute', false, 'half.example');
    // the senders read the switches each second
    await eventually('a message waits for the schedule', async () => {
        const to = `off-${Date.now()}@half.example`;
        const id = await queue(world, { to });
        await world.farm.ledger.waitFor(entry => entry.to === to, 30_000);
        await eventually('the attempt is on record', async () => (await trail(world, id)).length > 0, 10_000);
        return (await trail(world, id))[0]?.reason === 'rerouting is switched off';
    }, 30_000);
    const to = 'scheduled@half.example';
    await queue(world, { to });
    await world.farm.ledger.until(entries => entries.filter(entry => entry.to === to).length >= 2 || entries.some(entry => entry.to === to && entry.accepted), 60_000, 'two attempts');
    const [first, second] = world.farm.ledger.attempts({ to });
    expect(second === undefined || second.at - (first?.at ?? 0) >= SCHEDULED_MS).toBe(true);

    const other = await queue(world, { to: 'other@refused.example' });
    await world.relay.ledger.waitFor(entry => entry.to === 'other@refused.example', 60_000, 'the other provider\'s message');
    expect((await trail(world, other))[0]?.verdict).toBe('reroute');
    await throwSwitch(world, 'reroute', true, 'half.example');
});

it('holds what belongs to the relay while that is switched off, without a bounce, and hands it over afterwards', async () => {
    await throwSwitch(world, 'relay', false);
    expect((await world.zonemta.api('/plugin/smart-relay/status')).body).toMatchObject({ off: [{ name: 'relay', note: 'test' }] });
    const to = 'waits@refused-too.example';
    const id = await queue(world, { to });
    await eventually('it waits', async () => (await trail(world, id)).some(event => event.reason === 'the relay is switched off'), 60_000);
    expect(world.relay.ledger.attempts({ to })).toHaveLength(0);
    await throwSwitch(world, 'relay', true);
    await world.relay.ledger.waitFor(entry => entry.accepted && entry.to === to, 60_000, 'the handed over message');
    expect(world.sink.mails.entries()).toHaveLength(0);
});

it('tells a caller what is wrong with his switch', async () => {
    const wrong = await world.zonemta.api('/plugin/smart-relay/switches', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"scan","on":false}' });
    expect(wrong).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST' } });
});
