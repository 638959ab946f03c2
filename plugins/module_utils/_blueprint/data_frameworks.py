# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Frameworks: how they are recognised and where they listen. Only data.

Each entry: dependency (or module) -> (name, port of its development server, whether it serves a back end).
The order counts: what builds on another stands before it.
"""

from __future__ import annotations

from typing import Dict, Tuple

Framework = Tuple[str, int, bool]

NODE: Dict[str, Framework] = {
    "next": ("next", 3000, True),
    "nuxt": ("nuxt", 3000, True),
    "nuxt3": ("nuxt", 3000, True),
    "nuxt-edge": ("nuxt", 3000, True),
    "@remix-run/dev": ("remix", 5173, True),
    "@remix-run/serve": ("remix", 3000, True),
    "@react-router/dev": ("react-router", 5173, True),
    "@sveltejs/kit": ("sveltekit", 5173, True),
    "@solidjs/start": ("solid-start", 3000, True),
    "solid-start": ("solid-start", 3000, True),
    "@tanstack/react-start": ("tanstack-start", 3000, True),
    "@analogjs/platform": ("analog", 5173, True),
    "@builder.io/qwik-city": ("qwik", 5173, True),
    "astro": ("astro", 4321, True),
    "gatsby": ("gatsby", 8000, False),
    "@redwoodjs/core": ("redwood", 8910, True),
    "blitz": ("blitz", 3000, True),
    "@strapi/strapi": ("strapi", 1337, True),
    "strapi": ("strapi", 1337, True),
    "@keystone-6/core": ("keystone", 3000, True),
    "@medusajs/medusa": ("medusa", 9000, True),
    "@adonisjs/core": ("adonis", 3333, True),
    "directus": ("directus", 8055, True),
    "ghost": ("ghost", 2368, True),
    "@docusaurus/core": ("docusaurus", 3000, False),
    "vitepress": ("vitepress", 5173, False),
    "vuepress": ("vuepress", 8080, False),
    "@11ty/eleventy": ("eleventy", 8080, False),
    "hexo": ("hexo", 4000, False),
    "gridsome": ("gridsome", 8080, False),
    "@nestjs/core": ("nest", 3000, True),
    "@angular/core": ("angular", 4200, False),
    "ember-source": ("ember", 4200, False),
    "react-scripts": ("create-react-app", 3000, False),
    "react-app-rewired": ("create-react-app", 3000, False),
    "@craco/craco": ("create-react-app", 3000, False),
    "@vue/cli-service": ("vue-cli", 8080, False),
    "expo": ("expo", 8081, False),
    "react-native": ("react-native", 8081, False),
    "@ionic/react": ("ionic", 8100, False),
    "meteor-node-stubs": ("meteor", 3000, True),
    "@feathersjs/feathers": ("feathers", 3030, True),
    "@loopback/core": ("loopback", 3000, True),
    "sails": ("sails", 1337, True),
    "@hapi/hapi": ("hapi", 3000, True),
    "fastify": ("fastify", 3000, True),
    "express": ("express", 3000, True),
    "koa": ("koa", 3000, True),
    "hono": ("hono", 3000, True),
    "@hono/node-server": ("hono", 3000, True),
    "elysia": ("elysia", 3000, True),
    "nitropack": ("nitro", 3000, True),
    "restify": ("restify", 8080, True),
    "polka": ("polka", 3000, True),
    "@apollo/server": ("apollo", 4000, True),
    "apollo-server": ("apollo", 4000, True),
    "graphql-yoga": ("graphql-yoga", 4000, True),
    "socket.io": ("socket.io", 3000, True),
    "electron": ("electron", 0, False),
    "@quasar/app-vite": ("quasar", 9000, False),
    "@quasar/app-webpack": ("quasar", 8080, False),
    "serverless-offline": ("serverless-offline", 3000, True),
    "vite": ("vite", 5173, False),
    "wrangler": ("wrangler", 8787, True),
    "netlify-cli": ("netlify", 8888, False),
    "parcel": ("parcel", 1234, False),
    "parcel-bundler": ("parcel", 1234, False),
    "@rsbuild/core": ("rsbuild", 3000, False),
    "webpack-dev-server": ("webpack", 8080, False),
    "@web/dev-server": ("web-dev-server", 8000, False),
    "snowpack": ("snowpack", 8080, False),
    "@storybook/core": ("storybook", 6006, False),
    "http-server": ("http-server", 8080, False),
    "live-server": ("live-server", 8080, False),
    "serve": ("serve", 3000, False),
}

#: Frameworks whose port is only certain when something really listens: a dependency alone proves nothing.
NODE_LIBRARIES = frozenset("express fastify koa hono @hapi/hapi polka restify socket.io @hono/node-server".split())

#: Tools that build and test as often as they serve: one of them listens only where a script starts something.
NODE_TOOLS = frozenset(
    "vite parcel parcel-bundler @rsbuild/core webpack-dev-server snowpack @web/dev-server @storybook/core http-server "
    "live-server serve serverless-offline wrangler netlify-cli".split()
)

#: Commands of scripts -> framework, where no dependency names it.
NODE_COMMANDS: Dict[str, str] = {
    "next": "next",
    "nuxt": "nuxt",
    "nuxi": "nuxt",
    "vite": "vite",
    "astro": "astro",
    "ng": "@angular/core",
    "react-scripts": "react-scripts",
    "vue-cli-service": "@vue/cli-service",
    "gatsby": "gatsby",
    "remix": "@remix-run/serve",
    "remix-serve": "@remix-run/serve",
    "parcel": "parcel",
    "webpack-dev-server": "webpack-dev-server",
    "eleventy": "@11ty/eleventy",
    "docusaurus": "@docusaurus/core",
    "vitepress": "vitepress",
    "http-server": "http-server",
    "live-server": "live-server",
    "serve": "serve",
    "strapi": "@strapi/strapi",
    "expo": "expo",
    "wrangler": "wrangler",
    "netlify": "netlify-cli",
    "meteor": "meteor-node-stubs",
    "rsbuild": "@rsbuild/core",
}

PYTHON: Dict[str, Framework] = {
    "django": ("django", 8000, True),
    "fastapi": ("fastapi", 8000, True),
    "flask": ("flask", 5000, True),
    "streamlit": ("streamlit", 8501, True),
    "gradio": ("gradio", 7860, True),
    "chainlit": ("chainlit", 8000, True),
    "dash": ("dash", 8050, True),
    "panel": ("panel", 5006, True),
    "bokeh": ("bokeh", 5006, True),
    "reflex": ("reflex", 3000, True),
    "nicegui": ("nicegui", 8080, True),
    "litestar": ("litestar", 8000, True),
    "starlette": ("starlette", 8000, True),
    "sanic": ("sanic", 8000, True),
    "quart": ("quart", 5000, True),
    "aiohttp": ("aiohttp", 8080, True),
    "tornado": ("tornado", 8888, True),
    "bottle": ("bottle", 8080, True),
    "pyramid": ("pyramid", 6543, True),
    "cherrypy": ("cherrypy", 8080, True),
    "falcon": ("falcon", 8000, True),
    "robyn": ("robyn", 8080, True),
    "wagtail": ("django", 8000, True),
    "python-fasthtml": ("fasthtml", 5001, True),
    "mkdocs": ("mkdocs", 8000, False),
    "mkdocs-material": ("mkdocs", 8000, False),
    "jupyterlab": ("jupyter", 8888, False),
    "notebook": ("jupyter", 8888, False),
    "jupyter": ("jupyter", 8888, False),
}

#: Client or tool as often as server: the port counts only with a sign that the project serves.
PYTHON_LIBRARIES = frozenset(
    "aiohttp tornado starlette bottle falcon bokeh panel mkdocs mkdocs-material jupyterlab notebook jupyter".split()
)

RUBY: Dict[str, Framework] = {
    "rails": ("rails", 3000, True),
    "hanami": ("hanami", 2300, True),
    "sinatra": ("sinatra", 4567, True),
    "roda": ("roda", 9292, True),
    "grape": ("grape", 9292, True),
    "padrino": ("padrino", 3000, True),
    "jekyll": ("jekyll", 4000, False),
    "github-pages": ("jekyll", 4000, False),
    "middleman": ("middleman", 4567, False),
    "bridgetown": ("bridgetown", 4000, False),
    "nanoc": ("nanoc", 3000, False),
    "rack": ("rack", 9292, True),
    "puma": ("puma", 9292, True),
}

PHP: Dict[str, Framework] = {
    "laravel/framework": ("laravel", 8000, True),
    "laravel/lumen-framework": ("lumen", 8000, True),
    "symfony/framework-bundle": ("symfony", 8000, True),
    "symfony/symfony": ("symfony", 8000, True),
    "cakephp/cakephp": ("cakephp", 8765, True),
    "codeigniter4/framework": ("codeigniter", 8080, True),
    "yiisoft/yii2": ("yii", 8080, True),
    "slim/slim": ("slim", 8080, True),
    "laminas/laminas-mvc": ("laminas", 8080, True),
    "mezzio/mezzio": ("mezzio", 8080, True),
    "drupal/core": ("drupal", 8888, True),
    "drupal/core-recommended": ("drupal", 8888, True),
    "hyperf/framework": ("hyperf", 9501, True),
}

GO: Dict[str, Framework] = {
    "github.com/gin-gonic/gin": ("gin", 8080, True),
    "github.com/labstack/echo": ("echo", 1323, True),
    "github.com/gofiber/fiber": ("fiber", 3000, True),
    "github.com/beego/beego": ("beego", 8080, True),
    "github.com/gobuffalo/buffalo": ("buffalo", 3000, True),
    "github.com/revel/revel": ("revel", 9000, True),
    "github.com/kataras/iris": ("iris", 8080, True),
    "github.com/pocketbase/pocketbase": ("pocketbase", 8090, True),
    "github.com/cloudwego/hertz": ("hertz", 8888, True),
}

RUST: Dict[str, Framework] = {
    "rocket": ("rocket", 8000, True),
    "loco-rs": ("loco", 5150, True),
    "leptos_axum": ("leptos", 3000, True),
    "actix-web": ("actix-web", 8080, True),
    "axum": ("axum", 3000, True),
    "poem": ("poem", 3000, True),
    "salvo": ("salvo", 5800, True),
    "warp": ("warp", 3030, True),
    "tide": ("tide", 8080, True),
    "gotham": ("gotham", 7878, True),
}

#: Text in a build file -> framework.
JVM: Dict[str, Framework] = {
    "spring-boot-starter-web": ("spring-boot", 8080, True),
    "spring-boot": ("spring-boot", 8080, True),
    "org.springframework.boot": ("spring-boot", 8080, True),
    "io.quarkus": ("quarkus", 8080, True),
    "io.micronaut": ("micronaut", 8080, True),
    "io.ktor": ("ktor", 8080, True),
    "dropwizard": ("dropwizard", 8080, True),
    "io.helidon": ("helidon", 8080, True),
    "io.javalin": ("javalin", 7070, True),
    "com.sparkjava": ("spark-java", 4567, True),
    "io.vertx": ("vertx", 8080, True),
    "org.grails": ("grails", 8080, True),
    "com.typesafe.play": ("play", 9000, True),
    "org.playframework": ("play", 9000, True),
    "jetty-maven-plugin": ("jetty", 8080, True),
    "tomcat7-maven-plugin": ("tomcat", 8080, True),
    "tomcat-maven-plugin": ("tomcat", 8080, True),
    "tomcat-embed": ("tomcat", 8080, True),
}

ELIXIR: Dict[str, Framework] = {
    "phoenix": ("phoenix", 4000, True),
    "plug_cowboy": ("plug", 4000, True),
    "bandit": ("plug", 4000, True),
}

CRYSTAL: Dict[str, Framework] = {
    "kemal": ("kemal", 3000, True),
    "lucky": ("lucky", 3000, True),
    "amber": ("amber", 3000, True),
    "athena": ("athena", 3000, True),
    "grip": ("grip", 4004, True),
}

DART: Dict[str, Framework] = {
    "dart_frog": ("dart_frog", 8080, True),
    "serverpod": ("serverpod", 8080, True),
    "shelf": ("shelf", 8080, True),
    "jaspr": ("jaspr", 8080, True),
}

SWIFT: Dict[str, Framework] = {"vapor": ("vapor", 8080, True), "hummingbird": ("hummingbird", 8080, True)}
GLEAM: Dict[str, Framework] = {
    "lustre_dev_tools": ("lustre", 1234, False),
    "wisp": ("wisp", 8000, True),
    "mist": ("mist", 8000, True),
}
CLOJURE: Dict[str, Framework] = {
    "shadow-cljs": ("shadow-cljs", 8080, False),
    "pedestal": ("pedestal", 8080, True),
    "ring": ("ring", 3000, True),
    "luminus": ("luminus", 3000, True),
}
HASKELL: Dict[str, Framework] = {
    "yesod": ("yesod", 3000, True),
    "scotty": ("scotty", 3000, True),
    "servant-server": ("servant", 8080, True),
    "ihp": ("ihp", 8000, True),
}
