import { homedir } from 'node:os';
import { join } from 'node:path';

/** What outlives a clone: built database servers, and which of them works here. test/bed/services/mongo.ts reads it too. */
export const cacheDir = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'zonemta-smart-relay');
