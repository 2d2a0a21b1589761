"""Two input topics under load while instances come and go: 1 -> 2 -> 1, two kills, one stop over the session timeout.
Both ways of delivery give what they promise."""
import unittest

import scale


class Scale(unittest.TestCase):
    def check(self, app, delivery, static):
        story = scale.Story(self, app, delivery=delivery, static=static)
        story.begin("a")
        story.start("b")
        story.freeze(1)
        story.kill(1)
        story.stop("a")
        story.kill(2)
        story.check(story.finish())

    def test_exactly_once(self):
        self.check("scale-exactly", "exactly_once", static=("a", "b"))

    def test_at_least_once(self):
        self.check("scale-atleast", "at_least_once", static=("b",))


if __name__ == "__main__":
    unittest.main()
