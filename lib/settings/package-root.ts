import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Folder of this package: the data in `config/` and `lua/` lies beside its package.json, the code one or two levels below. */
export function packageRoot(from: string = __dirname): string {
    const above = dirname(from);
    return existsSync(join(from, 'package.json')) || above === from ? from : packageRoot(above);
}
