/** The demo's result, for people. */
import Table from 'cli-table3';
import type { Summary } from '../internet';

/** Refuses 30 % of the pool at RCPT, where the message is known, so that its rescue can be timed; p50 in seconds. */
const EXACT_RESCUE = 'listed30.example';
const RESCUE_GOAL = 5;

export interface Run extends Summary {
    zonemta: string;
    mongo: string;
    ipv6: boolean;
    seed: number;
}

/** Did every message come to its rightful end, greylisted ones from the address that was greylisted, and rerouted ones within seconds? */
export function isGood(run: Run): boolean {
    const kept = run.greylistKept.kept === run.greylistKept.total;
    const rescue = run.destinations.find(({ destination }) => destination === EXACT_RESCUE)?.rescueSeconds.p50 ?? 0;
    const inTime = rescue < RESCUE_GOAL;
    return run.lost === 0 && run.duplicated === 0 && run.relayMisuse === 0 && run.rejectedClean === 0 && run.dsnPerBounced === 1 && run.faults.length === 0 && kept && inTime;
}

/** Tables of the destinations and of the totals. */
export function report(run: Run): string {
    const destinations = new Table({ head: ['destination', 'sent', 'first try', 'rerouted', 'same addr.', 'relayed', 'bounced', 'refused', 'tries', 'rescue p50', 'p99'], style: { head: [], border: [], compact: true }, colAligns: ['left', ...Array.from({ length: 10 }, () => 'right' as const)] });
    for (const row of run.destinations) {
        const refused = row.rejectedSpam + row.rejectedVirus + row.rejectedClean;
        destinations.push([row.destination, row.messages, row.firstAttempt, row.rerouted, row.retried, row.relayed, row.bounced, refused, row.attempts, seconds(row.rescueSeconds.p50), seconds(row.rescueSeconds.p99)]);
    }
    const totals = new Table({ style: { head: [], border: [], compact: true } });
    totals.push(
        { 'messages sent through Postfix': run.messages },
        { 'refused at submission: spam, virus': `${run.rejectedSpam}, ${run.rejectedVirus}` },
        { 'delivered (first try, rerouted, same address)': `${run.delivered} (${run.firstAttempt}, ${run.rerouted}, ${run.retried})` },
        { 'taken by the relay': run.relayed },
        { 'bounced, with one notice each': `${run.bounced} (notices a bounce: ${run.dsnPerBounced})` },
        { 'lost': run.lost },
        { 'doubled': run.duplicated },
        { 'at the relay without reason': run.relayMisuse },
        { 'greylisted and kept their address': `${run.greylistKept.kept} of ${run.greylistKept.total}` },
        { 'source addresses seen': run.distinctAddresses },
        { 'tries per delivered message': run.attemptsPerDelivered.toFixed(2) },
        { 'rescue p50, p99': `${seconds(run.rescueSeconds.p50)}, ${seconds(run.rescueSeconds.p99)}` },
        { 'wall time': seconds(run.wallSeconds) },
        { 'ZoneMTA, MongoDB': `${run.zonemta}, ${run.mongo}` }
    );
    return [destinations.toString(), totals.toString(), ...run.faults.map(fault => `FAULT ${fault}`)].join('\n');
}

function seconds(value: number | null): string {
    return value === null ? '-' : `${value.toFixed(1)} s`;
}
