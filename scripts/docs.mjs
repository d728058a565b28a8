// `npm run docs`: the API reference, made by typedoc from the types into docs/api (not in git), and checked: everything that a public entry
// point exports is documented, with its members, and every link in what was made leads somewhere. A warning fails. Part of `npm test`.
// Not asked for: comments on members of types that are written in place, such as the payload of an event, which their owner's comment explains;
// names for what the doubles of the testing kit are made of inside.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Application } from 'typedoc'

const root = fileURLToPath(new URL('..', import.meta.url))
const app = await Application.bootstrap({ options: join(root, 'typedoc.json'), logLevel: 'Warn' })
const project = await app.convert()
if (!project) process.exit(1)

// named as programs import them
for (const entry of project.children ?? []) entry.name = entry.name.replace(/^(?!jamikit\b)/, '@jamikit/').replace('/src', '')
const tell = app.logger.validationWarning.bind(app.logger)
const excused = /\.__type\b.* does not have any documentation|defined in @jamikit\/core\/src\/testing\/.* is referenced by/
app.logger.validationWarning = (text, ...rest) => (excused.test(text) ? undefined : tell(text, ...rest))
app.validate(project)
// types that something public names and programs cannot: typedoc asks that of one package only
app.options.setValue('validation', { notExported: true, notDocumented: false, invalidLink: false, rewrittenLink: false, unusedMergeModuleWith: false, invalidPath: false })
for (const name of app.options.getValue('packagesRequiringDocumentation')) {
  project.packageName = name
  app.validate(project)
}
await app.generateOutputs(project)

const out = app.options.getValue('out')
const walk = (dir) => readdirSync(dir, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? walk(join(dir, e.name)) : [join(dir, e.name)]))
const pages = new Map(walk(out).filter((path) => path.endsWith('.html')).map((path) => [path, readFileSync(path, 'utf8')]))
let [links, broken] = [0, 0]
for (const [page, html] of pages)
  for (const [, link] of html.matchAll(/\bhref="([^"]+)"/g)) {
    if (/^[a-z]+:/.test(link)) continue
    links++
    const [path, anchor] = link.split('#')
    const target = path === '' ? page : resolve(dirname(page), decodeURIComponent(path))
    const found = existsSync(target) && (!anchor || !pages.has(target) || pages.get(target).includes(`id="${decodeURIComponent(anchor)}"`))
    if (!found && ++broken) console.error(`${relative(out, page)}: ${link} leads nowhere`)
  }
const { errorCount, warningCount } = app.logger
console.log(`API reference: ${project.children?.length ?? 0} entry points, ${pages.size} pages, ${links} links, ${errorCount + warningCount + broken} problems`)
process.exit(errorCount + warningCount + broken > 0 ? 1 : 0)
