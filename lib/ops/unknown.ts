/** `GET /unknown`: from the history's records to candidates for rules. Pure. */
import type { HistoryRecord } from '../history/history';
import { candidates, type Candidate, type Sighting } from '../responses/unknown';

/** @param records attempts with unknown replies, and deliveries of the same messages, in any order */
export function unknownReplies(records: readonly HistoryRecord[]): Candidate[] {
    const delivered = new Map<string, Set<string>>();
    const ends = new Map<string, string>();
    for (const { id, seq, event } of records) {
        if (event.kind === 'delivered' && event.phase === 'pool') {
            ends.set(`${id}.${seq}`, event.attempt.address);
            delivered.set(event.attempt.provider, (delivered.get(event.attempt.provider) ?? new Set()).add(event.attempt.address));
        }
    }
    const sightings = records.flatMap(({ id, seq, at, event }): Sighting[] => {
        if (event.kind !== 'attempt') {
            return [];
        }
        const { provider, code, response, address } = event.attempt;
        return [{ provider, code, response, address, at, deliveredFrom: ends.get(`${id}.${seq}`) }];
    });
    return candidates(sightings, delivered);
}
