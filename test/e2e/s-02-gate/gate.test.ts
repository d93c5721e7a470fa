/** Wrong settings on a relay that has mail in its queue: nothing leaves, nothing is lost, and everybody is told why. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemTrouble } from '../../bed/internet';
import { startWorld, type World } from '../../bed/world';
import { eventually, logLine, queue, submit } from '../helpers';

let world: World;

beforeAll(async () => {
    world = await startWorld({ release: '3.10.3', destinations: () => [{ domain: 'later.example', behaviour: systemTrouble(1) }], plugins: { rspamd: false } });
});
afterAll(async () => world?.stop());

it('holds its mail behind wrong settings, refuses new mail with 451, names the fault, and delivers once it is mended', async () => {
    const id = await queue(world, { to: 'held@later.example' });
    await world.farm.ledger.waitFor(entry => entry.to === 'held@later.example', 30_000, 'the first attempt');
    await eventually('the delivery is deferred', async () => (await world.zonemta.api('/counter/zone/default')).body !== undefined, 5000);

    await world.restartZoneMta({ plugins: { rspamd: false, relay: { maxAge: '24 hours' } }, closed: true });

    const { body } = await world.zonemta.api('/plugin/smart-relay/status');
    expect(body).toMatchObject({
        gate: 'closed',
        faults: [expect.stringMatching(/^plugins\."modules\/zonemta-smart-relay\/relay": maxAge = "24 hours": expected a duration/)]
    });
    expect(await submit(world, { to: 'new@later.example' })).toMatch(/^451 4\.3\.5 /);
    // the sender has the delivery in its hands and does not let it go
    await logLine(world, new RegExp(`${id}.001 FETCHED`), 30_000);
    await logLine(world, /GATE CLOSED: plugins\."modules\/zonemta-smart-relay\/relay": maxAge/, 5000);
    expect(world.farm.ledger.attempts({ to: 'held@later.example' })).toHaveLength(1);
    expect((await world.zonemta.api('/plugin/smart-relay/messages/x')).status).toBe(503);

    await world.restartZoneMta({ plugins: { rspamd: false } });
    await world.farm.ledger.waitFor(entry => entry.accepted && entry.to === 'held@later.example', 60_000, 'the held delivery');
    expect(world.farm.ledger.deliveries({ to: 'held@later.example' })).toHaveLength(1);
});

it('stays closed when a plugin of ours is misspelt, which ZoneMTA itself would only log', async () => {
    await world.restartZoneMta({ plugins: { rspamd: false, 'rspam': { enabled: ['receiver', 'main'] } }, closed: true });
    const { body } = await world.zonemta.api('/plugin/smart-relay/status');
    expect(body).toMatchObject({ gate: 'closed', faults: [expect.stringContaining('did you mean "modules/zonemta-smart-relay/rspamd"?')] });
    expect(await submit(world, { to: 'new@later.example' })).toMatch(/^451 /);
});
