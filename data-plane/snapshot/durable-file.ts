// Files that are either the old or the new version whenever the machine stops: written aside, flushed, renamed, and the
// directory flushed, because a rename that only the page cache knows is lost with the power.
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Everything under a node's directory is for the node alone. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

export async function makePrivateDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
}

export async function writeDurably(path: string, data: string | Uint8Array): Promise<void> {
  await writeDurablyWith(path, (file) => file.writeFile(data));
}

/** As `writeDurably`, for contents that are made while they are written. `beforeRename` sees the old file a last time. */
export async function writeDurablyWith(
  path: string,
  write: (file: FileHandle) => Promise<void>,
  beforeRename: () => Promise<void> = async () => {},
): Promise<void> {
  const aside = `${path}.new`;
  try {
    await using file = await open(
      aside,
      constants.O_CREAT | constants.O_TRUNC | constants.O_WRONLY,
      FILE_MODE,
    );
    await write(file);
    await file.sync();
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await beforeRename();
  await rename(aside, path);
  await flushDirectory(dirname(path));
}

/** The file's text; undefined when there is none. */
export async function readTextIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Renames if there is something to rename. */
export async function renameIfPresent(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

async function flushDirectory(path: string): Promise<void> {
  // Windows does not open directories; its renames are journaled by the file system.
  if (process.platform === 'win32') return;
  await using directory = await open(path, constants.O_RDONLY);
  await directory.sync();
}
