import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The repository's folder: upwards from here, in the sources as in the build. */
export function repository(from: string = __dirname): string {
    return existsSync(join(from, 'package-lock.json')) && existsSync(join(from, 'scripts')) ? from : repository(dirname(from));
}
