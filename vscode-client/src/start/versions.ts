/**
 * Do the extension and the server fit? They do if major and minor version are the same.
 *
 * Pure. A server of another version is still used, as most of it will work; the user hears which one to update.
 */

import { t } from '../l10n';
import type { Problem } from './problem';
import type { Origin } from './server';

/** What is wrong with this server; undefined if nothing is. `server` is as it said it itself, if it did. */
export function mismatch(extension: string, server: string | undefined, origin: Origin): Problem | undefined {
	// What a setting names, only its owner can update.
	const update = origin === 'path' ? 'path' : 'reinstall';
	if (server === undefined || !/^\d+\.\d+/.test(server)) {
		return {
			problem: t('The server does not say its version. This extension is {0}: update the server.', extension),
			mends: [update, 'output'],
		};
	}
	const difference = order(extension, server);
	if (difference === 0) {
		return undefined;
	}
	return difference > 0
		? {
				problem: t('The server is version {0}, this extension {1}: update the server.', server, extension),
				mends: [update, 'output'],
			}
		: {
				problem: t('The server is version {0}, this extension {1}: update the extension.', server, extension),
				mends: ['extensions', 'output'],
			};
}

/** Below, at or above zero, as the first one is older than, like or newer than the second. */
function order(one: string, other: string): number {
	const [major = 0, minor = 0] = one.split('.').map(Number);
	const [otherMajor = 0, otherMinor = 0] = other.split('.').map((part) => Number.parseInt(part, 10));
	return major - otherMajor || minor - otherMinor;
}
