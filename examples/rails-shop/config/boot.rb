# SPDX-License-Identifier: GPL-3.0-or-later
ENV["BUNDLE_GEMFILE"] ||= File.expand_path("../Gemfile", __dir__)
require "bundler/setup"
