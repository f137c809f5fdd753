// Written in plain old JavaScript and imported first: an old Node must get as far as printing this message.

const oldest = [20, 19];

/**
 * What is wrong with the running Node, or undefined when it will do.
 * @param {string} found such as "20.19.0"
 */
export function nodeVersionProblem(found = process.versions.node) {
  const [major, minor] = found.split('.').map(Number);
  if (major > oldest[0] || (major === oldest[0] && minor >= oldest[1])) return undefined;
  return (
    `t4: Node.js ${found} is too old, ${oldest.join('.')} or newer is needed.\n` +
    '  Install a newer one with your package manager or a version manager (nvm, fnm, volta), then run the command again.'
  );
}
