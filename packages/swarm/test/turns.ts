// How often other work of the process has its turn while something runs.
export async function turnsWhile(work: () => Promise<unknown>): Promise<number> {
  let turns = 0
  let over = false
  const other = () => {
    turns++
    if (!over) setImmediate(other)
  }
  setImmediate(other)
  await work().finally(() => {
    over = true
  })
  return turns
}
