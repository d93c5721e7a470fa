/** Frees the deliveries of senders that were killed, within a minute. Runs in main. */
import { freeOrphans, instanceOf } from '../zonemta/orphans';
import type { PluginApp } from '../zonemta/app';
import type { Bulletin, Bulletins } from '../health/bulletins';
import type { EventLog } from './log';

const EVERY_MS = 10_000;
/** A lock this young may be one that main is just taking. */
const YOUNGEST_MS = 10_000;

export interface OrphanParts {
    app: PluginApp;
    bulletins: Pick<Bulletins, 'read'>;
    /** This process, as its bulletins name it. */
    me: string;
    log: EventLog;
    now: () => number;
}

/** Looks now and then; never rejects. */
export function startFreeing(parts: OrphanParts): void {
    setInterval(() => void free(parts), EVERY_MS).unref();
}

async function free({ app, bulletins, me, log, now }: OrphanParts): Promise<void> {
    const instance = instanceOf(app);
    const twin = twinOf(await bulletins.read(), me, instance);
    if (twin) {
        log.warn('INSTANCE_TWICE', { instance, process: twin.process });
        return;
    }
    try {
        const freed = await freeOrphans(app, now() - YOUNGEST_MS);
        for (const id of freed) {
            log.event('DELIVERY_FREED', { id });
        }
    } catch (err) {
        app.logger.error('SmartRelay', 'deliveries of killed senders could not be looked for: %s', (err as Error).message);
    }
}

/** Another main process that locks deliveries under the same name. */
export function twinOf(bulletins: readonly Bulletin[], me: string, instance: string): Bulletin | undefined {
    return bulletins.find(({ process, content }) => process !== me && content['instance'] === instance);
}
