/** What ZoneMTA's processes say of the filter group, and how long the scans took. */
import { MongoClient } from 'mongodb';
import type { World } from '../../bed/world';

export interface ServerStatus {
    url: string;
    state: string;
    ejections: number;
}

interface Status {
    processes?: { process: string; scan?: { servers: ServerStatus[] } }[];
}

/** The group as the receivers see it. */
export async function receiverView(world: World): Promise<ServerStatus[][]> {
    const { body } = await world.zonemta.api('/plugin/smart-relay/status');
    const processes = (body as Status).processes ?? [];
    return processes.filter(({ process }) => process.startsWith('receiver:')).map(({ scan }) => scan?.servers ?? []);
}

export interface ScanTimes {
    count: number;
    p50: number;
    p99: number;
    max: number;
}

/** Times of the scans that the first server answered, and of those that were moved. */
export async function scanTimes(world: World): Promise<{ straight: ScanTimes; moved: ScanTimes; servers: Record<string, number> }> {
    const client = await MongoClient.connect(world.mongo.url, { directConnection: true });
    try {
        const found = await client.db().collection('smart-relay-history').find({ 'event.kind': 'scan' }).toArray();
        const verdicts = found.map(({ event }) => event as { server: string; ms: number; tried: string[] }).filter(({ server }) => server !== '');
        const servers: Record<string, number> = {};
        for (const { server } of verdicts) {
            servers[server] = (servers[server] ?? 0) + 1;
        }
        const times = (moved: boolean) => timesOf(verdicts.filter(({ tried }) => tried.length > 1 === moved).map(({ ms }) => ms));
        return { straight: times(false), moved: times(true), servers };
    } finally {
        await client.close();
    }
}

function timesOf(values: number[]): ScanTimes {
    const sorted = values.sort((one, other) => one - other);
    const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
    return { count: sorted.length, p50: rank(0.5), p99: rank(0.99), max: rank(1) };
}
