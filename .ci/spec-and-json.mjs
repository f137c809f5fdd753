// A mocha reporter: spec on stdout for the log, and mocha's JSON in the file that --reporter-option output=FILE names.
import mocha from 'mocha';

export default class SpecAndJson extends mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    new mocha.reporters.JSON(runner, options);
  }
}
