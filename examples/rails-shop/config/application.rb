# SPDX-License-Identifier: GPL-3.0-or-later
require_relative "boot"
require "rails"
require "action_controller/railtie"

module Shop
  class Application < Rails::Application
    config.load_defaults 8.0
  end
end
