/** How many code points stand before a UTF-16 unit; asked in rising order. */
export function codePointsBefore(text: string): (unit: number) => number {
  let [units, points] = [0, 0];
  return (unit) => {
    while (units < unit) {
      units += text.codePointAt(units)! > 0xffff ? 2 : 1;
      points++;
    }
    return points;
  };
}
