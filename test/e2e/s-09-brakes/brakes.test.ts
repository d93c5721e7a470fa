/** The brakes: a spent budget, and shadow, in which everything is decided and nothing done. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { refuseAll, REPLIES } from '../../bed/internet';
import { startWorld, type World } from '../../bed/world';
import { eventually, logLine, queue, trail } from '../helpers';

/** The world's schedule begins with 4 s. */
const SCHEDULED_MS = 3500;

let world: World;

beforeAll(async () => {
    world = await startWorld({
        release: '3.10.3',
        destinations: () => [
            { domain: 'refused.example', behaviour: refuseAll('rcpt', REPLIES.spamhaus) },
            { domain: 'banned.example', behaviour: refuseAll('rcpt', REPLIES.microsoftBanned) }
        ],
        plugins: { rspamd: false, reputation: { rerouteBudget: { perSender: 1 } } }
    });
});
afterAll(async () => world?.stop());

it('over the budget a refusal follows ZoneMTA\'s schedule, and an alarm is raised', async () => {
    // the sender may cause one reroute an hour
    const to = 'over@refused.example';
    const id = await queue(world, { to });
    await eventually('the budget is spent', async () => (await trail(world, id)).some(event => event.reason === 'over the reroute budget'), 60_000);
    await logLine(world, /SMART_RELAY_BUDGET_SPENT/, 10_000);
    await world.farm.ledger.until(entries => entries.filter(entry => entry.to === to).length >= 3, 60_000, 'three attempts');
    const [first, second, third] = world.farm.ledger.attempts({ to });
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeLessThan(SCHEDULED_MS);
    expect((third?.at ?? 0) - (second?.at ?? 0)).toBeGreaterThanOrEqual(SCHEDULED_MS);
    expect(world.sink.mails.entries()).toHaveLength(0);
});

it('in shadow it decides and records, and ZoneMTA does what it would have done', async () => {
    await world.restartZoneMta({ plugins: { rspamd: false, index: { shadow: true } } });
    const to = 'shadow@banned.example';
    const id = await queue(world, { to });
    await eventually('the decision is on record', async () => (await trail(world, id)).some(event => event.verdict === 'reroute'), 60_000);
    // ZoneMTA defers this one; the reroute would have come at once
    await world.farm.ledger.until(entries => entries.filter(entry => entry.to === to).length >= 2, 60_000, 'two attempts');
    const [first, second] = world.farm.ledger.attempts({ to });
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(SCHEDULED_MS);
    const verdicts = (await trail(world, id)).filter(event => event.kind === 'attempt').map(event => event.verdict);
    // nothing was stored with the delivery: each attempt looks like the first
    expect(new Set(verdicts)).toEqual(new Set(['reroute']));
    expect(world.relay.ledger.attempts({ to })).toHaveLength(0);
});
