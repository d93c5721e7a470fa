/** Deliveries over the pace of their provider: they wait in the queue, and are told of in figures, not one by one. */
import type { SenderDelivery, SenderDeliveryError } from '@zone-eu/types';
import { waitOf } from '../health/pace';
import type { PluginApp } from '../zonemta/app';
import { nameOf, setCourse, stateOf, wakeZone, zoneOf } from '../zonemta/delivery';
import type { EventLog } from './log';
import type { Services } from './services';

const TOLD_EVERY = 60_000;

/** Counts what waits, and says so once a minute for each provider. */
export class WaitingCounter {
    private readonly waiting = new Map<string, { deliveries: number; longest: number }>();

    constructor(private readonly log: EventLog) {}

    /** @param wait ms until its turn */
    note(provider: string, wait: number): void {
        const known = this.waiting.get(provider);
        if (!known) {
            setTimeout(() => this.tell(provider), TOLD_EVERY).unref();
        }
        this.waiting.set(provider, { deliveries: (known?.deliveries ?? 0) + 1, longest: Math.max(known?.longest ?? 0, wait) });
    }

    private tell(provider: string): void {
        const { deliveries, longest } = this.waiting.get(provider) ?? { deliveries: 0, longest: 0 };
        this.waiting.delete(provider);
        this.log.event('PACED', { provider, deliveries, seconds: Math.round(longest / 1000) });
    }
}

/**
 * An attempt has ended, and is no longer under way. One that was none, for the pace let it not out, comes back at its turn: it stays in the zone, and neither
 * ZoneMTA's schedule nor the delivery's own attempts are used up by it.
 *
 * @param err undefined: delivered
 */
export async function leavePace({ flights, health, pace, waiting, now, random }: Services, app: PluginApp, delivery: SenderDelivery, err?: SenderDeliveryError): Promise<void> {
    const flight = flights.get(delivery);
    health.end(nameOf(delivery));
    if (err && flight?.turn) {
        const delay = waitOf(flight.turn.at, now(), random);
        waiting.note(flight.destination.provider, delay);
        setCourse(delivery, err, { state: stateOf(delivery), delay, countChange: -1, turn: { ...flight.turn, at: now() + delay } });
        wakeZone(app, zoneOf(delivery), delay);
    } else if (flight?.countedAs !== undefined) {
        await pace.release(flight.destination.provider, flight.countedAs, nameOf(delivery));
    }
}
